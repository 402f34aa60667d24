/** Undoing: exactly what was registered, in reverse, whatever fails meanwhile. */

import { expect, test } from 'vitest';
import { CniError } from '../../../../lib/cni/errors.ts';
import { type Transaction, transaction } from '../../../../lib/cni/transaction.ts';
import { fakeHost } from './fake-call.ts';

/** Two steps with their undo, noted in `done`; then `last`. */
function twoSteps(done: string[], last: (tx: Transaction) => Promise<string>) {
  return async (tx: Transaction) => {
    for (const name of ['a', 'b']) {
      await tx.step(() => done.push(name));
      tx.onFailure(`undo ${name}`, () => {
        done.push(`-${name}`);
      });
    }
    return last(tx);
  };
}

test('transaction() returns what its body does and undoes nothing', async () => {
  const done: string[] = [];
  expect(
    await transaction(
      fakeHost(),
      twoSteps(done, async (tx) => tx.step(() => 'result')),
    ),
  ).toBe('result');
  expect(done).toEqual(['a', 'b']);
});

test('transaction() undoes in reverse and throws the failure itself', async () => {
  const done: string[] = [];
  const failure = new CniError(7, 'no', { details: 'd' });
  const fail = async () => {
    throw failure;
  };
  await expect(transaction(fakeHost(), twoSteps(done, fail))).rejects.toBe(failure);
  expect(done).toEqual(['a', 'b', '-b', '-a']);
});

test('transaction() does not undo a step that failed and registered nothing', async () => {
  const done: string[] = [];
  const body = twoSteps(done, async (tx) => {
    await tx.step(() => {
      throw new Error('third');
    });
    tx.onFailure('undo c', () => {
      done.push('-c');
    });
    return '';
  });
  await expect(transaction(fakeHost(), body)).rejects.toMatchObject({ code: 999, message: 'third' });
  expect(done).toEqual(['a', 'b', '-b', '-a']);
});

test('transaction() goes on undoing when an undo fails, and tells of it in the details', async () => {
  const done: string[] = [];
  const body = async (tx: Transaction) => {
    tx.onFailure('remove the link', () => {
      done.push('-link');
      throw new Error('device busy');
    });
    tx.onFailure('release the address', async () => {
      done.push('-address');
      throw new CniError(5, 'read-only');
    });
    throw new CniError(102, 'ip failed', { details: 'status 2' });
  };
  await expect(transaction(fakeHost(), body)).rejects.toMatchObject({
    code: 102,
    message: 'ip failed',
    details: 'status 2; could not release the address: read-only; could not remove the link: device busy',
  });
  expect(done).toEqual(['-address', '-link']);
});

test.each([1, 2, 3, 4])('transaction() undoes all when SIGTERM is seen at checkpoint %i', async (at) => {
  let checkpoints = 0;
  const checkpoint = async () => {
    checkpoints += 1;
    if (checkpoints === at) throw new CniError(105, 'interrupted by SIGTERM');
  };
  const done: string[] = [];
  const call = transaction(
    fakeHost({ checkpoint }),
    twoSteps(done, async (tx) => {
      await tx.step(() => done.push('c'));
      return '';
    }),
  );
  await expect(call).rejects.toMatchObject({ code: 105 });
  expect(done).toEqual(
    [
      [],
      ['a', '-a'],
      ['a', 'b', '-b', '-a'],
      // After the last step, too: a runtime that gave up would not read the result.
      ['a', 'b', 'c', '-b', '-a'],
    ][at - 1],
  );
});
