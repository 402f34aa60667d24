import { describe, expect, test } from 'vitest';
import { containerIdOf, netnsPath } from '../../../../plugins/cnictl/container.ts';

describe('containerIdOf()', () => {
  test("is cnitool's", () => {
    expect(containerIdOf('/var/run/netns/blue')).toBe('cnitool-296747069b8a02dc4e2a');
  });
});

describe('netnsPath()', () => {
  test.each([
    { text: '/var/run/netns/blue', path: '/var/run/netns/blue' },
    { text: '/run/../run//netns/blue/', path: '/run/netns/blue' },
    { text: './blue', path: '/home/blue' },
    { text: '../blue', path: '/blue' },
    { text: 'a/blue', path: '/home/a/blue' },
    { text: 'blue', path: '/run/netns/blue' },
    { text: '..', path: '/' },
  ])('takes $text for $path', ({ text, path }) => {
    expect(netnsPath(text, '/home')).toBe(path);
  });

  test('takes a bare name for a namespace of that name in the current folder, when there is one', () => {
    expect(netnsPath('net', '/proc/self/ns')).toBe('/proc/self/ns/net');
    expect(netnsPath('status', '/proc/self/nowhere')).toBe('/run/netns/status');
  });

  test('does not take an ordinary file or folder for one', () => {
    expect(netnsPath('tmp', '/')).toBe('/run/netns/tmp');
  });
});
