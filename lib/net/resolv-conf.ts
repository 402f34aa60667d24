/** resolv.conf(5) as the DNS part of a result. */
import { CniError, code } from '../cni/errors.ts';
import type { Dns } from '../cni/result.ts';
import { ioError } from '../linux/io-error.ts';
import { readSmallFile } from '../linux/small-file.ts';

const MAX_BYTES = 1024 * 1024;

/** Reads the file at `path`, which may be a symbolic link. Throws code 5. */
export function readResolvConf(path: string): Dns {
  const text = readText(path);
  if (text !== undefined) return parseResolvConf(text);
  throw new CniError(code.ioFailure, `cannot read ${JSON.stringify(path)}: it is no regular file of at most 1 MiB`, {
    details: '"resolvConf" is the path of a file like /etc/resolv.conf',
  });
}

function readText(path: string): string | undefined {
  try {
    return readSmallFile(path, { maxBytes: MAX_BYTES, follow: true });
  } catch (error) {
    throw ioError('read', path, error);
  }
}

/** The last `domain` counts, the other keywords add up (as in the reference; the resolver lets the last `search` win). */
export function parseResolvConf(text: string): Dns {
  const lines = text.split('\n').map((line) => line.trim().split(/\s+/));
  const values = (keyword: string) => lines.filter(([first, ...rest]) => first === keyword && rest.length > 0);
  const domain = values('domain').at(-1)?.[1];
  return {
    nameservers: values('nameserver').map((words) => words[1] ?? ''),
    search: values('search').flatMap(([, ...rest]) => rest),
    options: values('options').flatMap(([, ...rest]) => rest),
    ...(domain === undefined ? {} : { domain }),
  };
}
