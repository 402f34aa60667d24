/** What flanneld and the kube-flannel manifest give the plugin. */

/** As flanneld writes it: the subnet with its gateway's host bits. */
export const SUBNET_ENV = [
  'FLANNEL_NETWORK=10.244.0.0/16',
  'FLANNEL_SUBNET=10.244.1.1/24',
  'FLANNEL_MTU=1450',
  'FLANNEL_IPMASQ=true',
  '',
].join('\n');

/** Of a dual-stack cluster. */
export const DUAL_SUBNET_ENV = [
  'FLANNEL_NETWORK=10.244.0.0/16',
  'FLANNEL_SUBNET=10.244.1.1/24',
  'FLANNEL_IPV6_NETWORK=fd00:10:244::/56',
  'FLANNEL_IPV6_SUBNET=fd00:10:244:1::1/64',
  'FLANNEL_MTU=1450',
  'FLANNEL_IPMASQ=true',
  '',
].join('\n');

/** The flannel object of the manifest. */
export const MANIFEST = {
  name: 'cbr0',
  cniVersion: '0.3.1',
  type: 'flannel',
  delegate: { hairpinMode: true, isDefaultGateway: true },
};

/** What the original makes of the two. */
export const DELEGATED =
  '{"cniVersion":"0.3.1","hairpinMode":true,"ipMasq":false,"ipam":{"ranges":[[{"subnet":"10.244.1.0/24"}]],' +
  '"routes":[{"dst":"10.244.0.0/16"}],"type":"host-local"},"isDefaultGateway":true,"isGateway":true,"mtu":1450,' +
  '"name":"cbr0","type":"bridge"}';
