import { describe, expect, test } from 'vitest';
import { parsePort } from '../../../../plugins/cnictl/ports.ts';
import { UsageError } from '../../../../plugins/cnictl/usage-error.ts';

describe('parsePort()', () => {
  test.each([
    { text: '8080:80', mapping: { hostPort: 8080, containerPort: 80, protocol: 'tcp' } },
    { text: '8080:80/tcp', mapping: { hostPort: 8080, containerPort: 80, protocol: 'tcp' } },
    { text: '1:65535/UDP', mapping: { hostPort: 1, containerPort: 65535, protocol: 'udp' } },
    { text: '9:9/sctp', mapping: { hostPort: 9, containerPort: 9, protocol: 'sctp' } },
    {
      text: '127.0.0.1:53:5353/udp',
      mapping: { hostPort: 53, containerPort: 5353, protocol: 'udp', hostIP: '127.0.0.1' },
    },
    {
      text: '[2001:DB8::1]:80:8080',
      mapping: { hostPort: 80, containerPort: 8080, protocol: 'tcp', hostIP: '2001:db8::1' },
    },
  ])('reads $text', ({ text, mapping }) => {
    expect(parsePort(text)).toEqual(mapping);
  });

  test.each([
    { text: '', why: 'it does not have the form' },
    { text: '80', why: 'it does not have the form' },
    { text: '80:80:80:80', why: 'it does not have the form' },
    { text: 'a:80', why: 'it does not have the form' },
    { text: '-1:80', why: 'it does not have the form' },
    { text: '::1:80:80', why: 'it does not have the form' },
    { text: '80:80/', why: 'it does not have the form' },
    { text: '0:80', why: '0 is no port' },
    { text: '80:65536', why: '65536 is no port' },
    { text: '80:80/icmp', why: '"icmp" is no protocol' },
    { text: '1.2.3:80:80', why: '"1.2.3" is no IP address' },
    { text: 'localhost:80:80', why: '"localhost" is no IP address' },
    { text: '[]:80:80', why: '"" is no IP address' },
    { text: ':80:80', why: '"" is no IP address' },
  ])('refuses $text', ({ text, why }) => {
    expect(() => parsePort(text)).toThrow(UsageError);
    expect(() => parsePort(text)).toThrow(why);
  });
});
