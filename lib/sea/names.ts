/** The names under which the one executable is installed, and the folder beside it. */

export const executableNames = ['bridge', 'host-local', 'portmap', 'loopback', 'flannel', 'cnictl'] as const;

/**
 * One inode under all names keeps the executable in the page cache once. Not under these: the init container of
 * kube-flannel copies its own `flannel` with cp(1), which writes into the file that is there, whatever else that is.
 */
export const namesOfOwnFile: readonly string[] = ['flannel'];

/** Holds the library copies. A folder, because lookups in CNI_PATH want regular files and so never see it. */
export const libraryFolder = '.nodecni-lib';
