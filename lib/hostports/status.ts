/** Whether this node can forward ports, found out without a child process: runtimes ask again and again. */
import { accessSync, constants } from 'node:fs';
import { dirname } from 'node:path';
import { STATE_FOLDER } from '../attachment/port-record-store.ts';
import { CniError, code, hasErrno, messageOf } from '../cni/errors.ts';
import { expectedBackend, requireTools } from '../firewall/choice.ts';
import type { Choice } from '../firewall/decide.ts';
import { TOOLS } from '../iptables/nat.ts';

/** Throws code 50, saying which firewall was chosen and why. */
export function requireFirewall(configured: Choice | undefined): void {
  const choice = expectedBackend(configured);
  const bothFamilies = [TOOLS[4], TOOLS[6]].flatMap(({ restore, save }) => [restore, save]);
  requireTools(choice, {
    code: code.pluginNotAvailable,
    ...(choice.backend === 'iptables' ? { tools: bothFamilies } : {}),
  });
}

/** ADD writes its record before its rules. Throws code 50 when it could not. */
export function requireStateFolder(): void {
  let folder = STATE_FOLDER;
  for (;;) {
    try {
      accessSync(folder, constants.W_OK | constants.X_OK);
      return;
    } catch (error) {
      if (!hasErrno(error, 'ENOENT') || folder === '/') throw notWritable(folder, error);
      // Not made yet: ADD makes it.
      folder = dirname(folder);
    }
  }
}

function notWritable(folder: string, cause: unknown): CniError {
  return new CniError(code.pluginNotAvailable, `cannot forward ports: no record can be written in "${folder}"`, {
    details: `${messageOf(cause)}; the plugin keeps one small file per container with forwarded ports in ${STATE_FOLDER}`,
    cause,
  });
}
