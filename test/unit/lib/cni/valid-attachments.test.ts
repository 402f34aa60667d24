/** Absent is not empty: the difference decides over every attachment of a network. */

import { expect, test } from 'vitest';
import { validAttachments } from '../../../../lib/cni/valid-attachments.ts';

const netConf = (raw: object) => ({ name: 'test', cniVersion: '1.1.0', raw: { ...raw } });
const one = { containerID: 'a', ifname: 'eth0' };
const two = { containerID: 'b', ifname: 'net1' };

test.each([
  ['null', { 'cni.dev/valid-attachments': null }, []],
  ['an empty list', { 'cni.dev/valid-attachments': [] }, []],
  ['a list', { 'cni.dev/valid-attachments': [one, two] }, [one, two]],
  ['the early name of the key', { 'cni.dev/attachments': [one] }, [one]],
  ['the early name with null', { 'cni.dev/attachments': null }, []],
  ['two lists that differ', { 'cni.dev/valid-attachments': [one], 'cni.dev/attachments': [two] }, [one, two]],
  ['null and a list', { 'cni.dev/valid-attachments': null, 'cni.dev/attachments': [two] }, [two]],
  ['other letter case', { 'CNI.dev/Valid-Attachments': [{ ContainerID: 'a', IfName: 'eth0' }] }, [one]],
  ['keys of a later specification', { 'cni.dev/valid-attachments': [{ ...one, netns: '/x' }] }, [one]],
])('%s', (_, raw, expected) => {
  expect(validAttachments(netConf(raw))).toEqual(expected);
});

test.each([
  ['no key', {}, 'cannot collect garbage: "cni.dev/valid-attachments" is missing'],
  ['an object', { 'cni.dev/valid-attachments': {} }, 'must be a list, not {}'],
  ['a string', { 'cni.dev/valid-attachments': 'a' }, 'must be a list, not "a"'],
  ['an item without ifname', { 'cni.dev/valid-attachments': [{ containerID: 'a' }] }, '[0].ifname": is missing'],
  ['an item that is null', { 'cni.dev/valid-attachments': [null] }, '[0]": must be an object, not null'],
  ['one good and one bad list', { 'cni.dev/valid-attachments': [one], 'cni.dev/attachments': 1 }, 'must be a'],
])('code 7 for %s', (_, raw, message) => {
  expect(() => validAttachments(netConf(raw))).toThrow(
    expect.objectContaining({ code: 7, message: expect.stringContaining(message) as string }),
  );
});
