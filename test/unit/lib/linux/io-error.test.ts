import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { CniError, code } from '../../../../lib/cni/errors.ts';
import { ioError } from '../../../../lib/linux/io-error.ts';

function failure(action: () => unknown): unknown {
  try {
    return action();
  } catch (error) {
    return error;
  }
}

test('ioError() says what was attempted, on what, why it failed, and keeps errno and cause', () => {
  const cause = failure(() => readFileSync('/nowhere/x'));
  expect(ioError('read', '/nowhere/x', cause)).toMatchObject({
    code: code.ioFailure,
    message: 'cannot read "/nowhere/x": no such file or directory',
    details: expect.stringMatching(/^ENOENT: /),
    cause,
  });
});

test("ioError() keeps Node's words for an error it does not know", () => {
  expect(ioError('read', '/x', new Error('odd')).message).toBe('cannot read "/x": odd');
});

test('ioError() passes an error of ours through', () => {
  const error = new CniError(code.interrupted, 'interrupted');
  expect(ioError('read', '/x', error)).toBe(error);
});
