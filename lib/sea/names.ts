/** The names under which the one executable is installed, and what else is in the folder beside it. */

export const executableNames = ['bridge', 'host-local', 'portmap', 'loopback', 'flannel', 'cnictl'] as const;

/**
 * One inode under all names keeps the executable in the page cache once. Not under these: the init container of
 * kube-flannel copies its own `flannel` with cp(1), which writes into the file that is there, whatever else that is.
 */
export const namesOfOwnFile: readonly string[] = ['flannel'];

// All hidden, and folders, because lookups in CNI_PATH want regular files of a plugin's name and so never see them.

/** Holds the library copies, each set in a folder of its own that never changes: no version ever meets another's. */
export const libraryFolder = '.nodecni-lib';
/** What the names were before the last installation, ours or not. */
export const previousFolder = '.nodecni-previous';
/** Holds what is not finished; whatever a killed installation left in it goes with the next one. */
export const stagingFolder = '.nodecni-staging';
/** Taken by whoever changes the folder, and gone with it. */
export const lockFile = '.nodecni-lock';
