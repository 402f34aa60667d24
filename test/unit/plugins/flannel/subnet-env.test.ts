/** subnet.env: every form it may have, whole, half-written and wrong. */
import { describe, expect, test } from 'vitest';
import { formatCidr } from '../../../../lib/net/ip.ts';
import { parseSubnetEnv } from '../../../../plugins/flannel/subnet-env.ts';
import { DUAL_SUBNET_ENV, SUBNET_ENV } from './fixtures.ts';

/** With CIDRs as text. */
function parse(text: string) {
  const env = parseSubnetEnv(text);
  if ('missing' in env) return env;
  return { ...env, networks: env.networks.map(formatCidr), subnets: env.subnets.map(formatCidr) };
}

const whole = { networks: ['10.244.0.0/16'], subnets: ['10.244.1.0/24'], mtu: 1450, ipMasq: true };

/** `SUBNET_ENV` with one line replaced, or without it. */
function changed(key: string, line?: string): string {
  const lines = SUBNET_ENV.split('\n').map((each) => (each.startsWith(`${key}=`) ? line : each));
  return lines.filter((each) => each !== undefined).join('\n');
}

describe('parseSubnetEnv()', () => {
  test('reads what flanneld writes, without host bits', () => {
    expect(parse(SUBNET_ENV)).toEqual(whole);
  });

  test('reads dual stack, IPv4 first', () => {
    expect(parse(DUAL_SUBNET_ENV)).toEqual({
      ...whole,
      networks: ['10.244.0.0/16', 'fd00:10:244::/56'],
      subnets: ['10.244.1.0/24', 'fd00:10:244:1::/64'],
    });
  });

  test('reads IPv6 alone', () => {
    const text = DUAL_SUBNET_ENV.replace(/^FLANNEL_(NETWORK|SUBNET)=.*\n/gm, '');
    expect(parse(text)).toEqual({ ...whole, networks: ['fd00:10:244::/56'], subnets: ['fd00:10:244:1::/64'] });
  });

  test('reads several networks, each once and without host bits', () => {
    const text = changed('FLANNEL_NETWORK', 'FLANNEL_NETWORK=10.244.3.4/16,10.200.0.0/16,10.244.0.0/16');
    expect(parse(text)).toMatchObject({ networks: ['10.244.0.0/16', '10.200.0.0/16'] });
  });

  test.each([
    ['true', true],
    ['false', false],
    ['TRUE', false],
    ['', false],
    ['true ', false],
  ])('FLANNEL_IPMASQ=%s is %s', (value, ipMasq) => {
    expect(parse(changed('FLANNEL_IPMASQ', `FLANNEL_IPMASQ=${value}`))).toMatchObject({ ipMasq });
  });

  test.each([
    ['lines of others, and lines that are none', `# a comment\nexport X=1\nOTHER=a=b\n=\n\n${SUBNET_ENV}`],
    ['the ends of lines of Windows', SUBNET_ENV.replaceAll('\n', '\r\n')],
    ['a key that comes again: the last one counts', `FLANNEL_MTU=nonsense\n${SUBNET_ENV}`],
    ['a key without value, which crashes the original', `FLANNEL_MTU\nFLANNEL_SUBNET\n${SUBNET_ENV}`],
    ['a last line without an end', SUBNET_ENV.trimEnd()],
  ])('takes %s', (_what, text) => {
    expect(parse(text)).toEqual(whole);
  });

  test.each([
    [
      '',
      [
        'FLANNEL_NETWORK',
        'FLANNEL_IPV6_NETWORK',
        'FLANNEL_SUBNET',
        'FLANNEL_IPV6_SUBNET',
        'FLANNEL_MTU',
        'FLANNEL_IPMASQ',
      ],
    ],
    [changed('FLANNEL_NETWORK'), ['FLANNEL_NETWORK', 'FLANNEL_IPV6_NETWORK']],
    [changed('FLANNEL_SUBNET'), ['FLANNEL_SUBNET', 'FLANNEL_IPV6_SUBNET']],
    [changed('FLANNEL_MTU', 'FLANNEL_MTU'), ['FLANNEL_MTU']],
    [changed('FLANNEL_IPMASQ', ' FLANNEL_IPMASQ=true'), ['FLANNEL_IPMASQ']],
  ])('says what %j lacks', (text, missing) => {
    expect(parse(text)).toEqual({ missing });
  });

  test('takes no first part for the whole', () => {
    for (let length = 0; length < SUBNET_ENV.trimEnd().length; length += 1) {
      expect(parse(SUBNET_ENV.slice(0, length)), SUBNET_ENV.slice(0, length)).toHaveProperty('missing');
    }
  });

  test.each([
    ['FLANNEL_NETWORK=10.244.0.0', 'invalid FLANNEL_NETWORK: "10.244.0.0" is no CIDR like 10.244.1.0/24'],
    [
      'FLANNEL_NETWORK=10.244.0.0/16, 10.9.0.0/16',
      'invalid FLANNEL_NETWORK: " 10.9.0.0/16" is no CIDR like 10.244.1.0/24',
    ],
    ['FLANNEL_SUBNET=', 'invalid FLANNEL_SUBNET: "" is no CIDR like 10.244.1.0/24'],
    [
      'FLANNEL_SUBNET="10.244.1.1/24"',
      String.raw`invalid FLANNEL_SUBNET: "\"10.244.1.1/24\"" is no CIDR like 10.244.1.0/24`,
    ],
    ['FLANNEL_MTU=-1', 'invalid FLANNEL_MTU: "-1" is no number of bytes'],
    ['FLANNEL_MTU=4294967296', 'invalid FLANNEL_MTU: "4294967296" is no number of bytes'],
  ])('refuses %s', (line, message) => {
    const key = line.split('=')[0] ?? '';
    expect(() => parse(changed(key, line))).toThrow(expect.objectContaining({ code: 7, message }));
  });
});
