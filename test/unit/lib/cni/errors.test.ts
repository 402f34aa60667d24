import { expect, test } from 'vitest';
import { asCniError, CniError, combineErrors, hasErrno } from '../../../../lib/cni/errors.ts';

test('asCniError() keeps a CniError and makes anything else code 999 without its stack', () => {
  const own = new CniError(7, 'bad');
  expect(asCniError(own)).toBe(own);
  expect(asCniError(new TypeError('x is undefined'))).toMatchObject({
    code: 999,
    message: 'x is undefined',
    details: '',
  });
  expect(asCniError('text')).toMatchObject({ code: 999, message: 'text' });
  expect(asCniError(undefined)).toMatchObject({ code: 999, message: 'undefined' });
});

test('combineErrors() has the first code, every message and every detail', () => {
  const single = new CniError(5, 'one', { details: 'd' });
  expect(combineErrors([single])).toBe(single);
  expect(combineErrors([single, new Error('two'), new CniError(7, 'three', { details: 'e' })])).toMatchObject({
    code: 5,
    message: 'one; two; three',
    details: 'd; e',
  });
  expect(() => combineErrors([])).toThrow(RangeError);
});

test('hasErrno() knows system errors by their code only', () => {
  const missing = Object.assign(new Error('x'), { code: 'ENOENT' });
  expect(hasErrno(missing, 'EEXIST', 'ENOENT')).toBe(true);
  expect(hasErrno(missing, 'EEXIST')).toBe(false);
  expect(hasErrno(new CniError(5, 'x'), 'ENOENT')).toBe(false);
  expect(hasErrno({ code: 'ENOENT' }, 'ENOENT')).toBe(false);
});
