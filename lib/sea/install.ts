/** `make install`: the executables, their libraries and the notices into a node's plugin folder. */

import { join } from 'node:path';
import { fail, say } from './command.ts';
import { libraryNames } from './libraries.ts';
import { executableNames, libraryFolder } from './names.ts';
import { place } from './place.ts';

const notices = 'THIRD-PARTY-NOTICES';

try {
  install(process.argv[2]);
} catch (error) {
  fail(error);
}

function install(target: string | undefined): void {
  if (target === undefined || !target.startsWith('/'))
    throw new Error(`cannot install into "${target}": not an absolute path`);
  const built = libraryNames.map((name) => ({ name, path: join('dist/bin', libraryFolder, name) }));
  place(
    { executable: 'dist/bin/bridge', libraries: [...built, { name: notices, path: join('dist', notices) }] },
    target,
  );
  say(
    `install: ${executableNames.join(', ')} and ${libraryFolder}/ are in ${target}; other plugins there are untouched`,
  );
}
