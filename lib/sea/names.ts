/** The names under which the one executable is installed, and the folder beside it. */

export const executableNames = ['bridge', 'host-local', 'portmap', 'loopback', 'flannel', 'cnictl'] as const;

/** Holds the library copies. A folder, because lookups in CNI_PATH want regular files and so never see it. */
export const libraryFolder = '.nodecni-lib';
