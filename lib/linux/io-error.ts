/** System errors of file access in words that say what to do (errno(3)). */
import { CniError, code, hasErrno, messageOf } from '../cni/errors.ts';

const MEANINGS: readonly { readonly errno: string; readonly state: string; readonly hint: string }[] = [
  { errno: 'ENOSPC', state: 'no space left on device', hint: 'free space or inodes on that file system' },
  { errno: 'EDQUOT', state: 'disk quota exceeded', hint: 'free space or raise the quota' },
  { errno: 'EROFS', state: 'read-only file system', hint: 'mount it writable or use another folder' },
  { errno: 'EACCES', state: 'permission denied', hint: 'the plugin has to run as root' },
  { errno: 'EPERM', state: 'operation not permitted', hint: 'an immutable file, or a file system without hard links' },
  { errno: 'ENOENT', state: 'no such file or directory', hint: 'the path is wrong, or somebody removed it meanwhile' },
  { errno: 'ENOTDIR', state: 'a part of the path is no folder', hint: 'move the file out of the way' },
  { errno: 'EEXIST', state: 'something that is no folder has this name', hint: 'move the file out of the way' },
  { errno: 'EISDIR', state: 'there is a folder by this name', hint: 'move the folder out of the way' },
  { errno: 'ELOOP', state: 'it is a symbolic link', hint: 'links are not followed here; remove it' },
  { errno: 'EIO', state: 'input/output error', hint: 'the device is failing; see the kernel log' },
];

/** `error` as code 5: `cannot <action> "<path>": <state>`; details hold errno and hint. A CniError passes through. */
export function ioError(action: string, path: string, error: unknown): CniError {
  if (error instanceof CniError) return error;
  const known = MEANINGS.find(({ errno }) => hasErrno(error, errno));
  const state = known === undefined ? messageOf(error) : known.state;
  const details = known === undefined ? '' : `${known.errno}: ${known.hint}`;
  return new CniError(code.ioFailure, `cannot ${action} ${JSON.stringify(path)}: ${state}`, { details, cause: error });
}
