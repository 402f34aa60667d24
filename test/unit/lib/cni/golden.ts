/** Results as the reference prints them, to the byte: one of host-local, one of a dual stack bridge. */

import type { Result } from '../../../../lib/cni/result.ts';
import type { ResultShape } from '../../../../lib/cni/version.ts';

export const hostLocalResult: Result = {
  interfaces: [],
  ips: [{ address: '10.1.2.2/24', gateway: '10.1.2.1' }],
  routes: [{ dst: '0.0.0.0/0' }],
  dns: {},
};

export const bridgeResult: Result = {
  interfaces: [
    { name: 'cni0', mac: '0a:00:00:00:00:01' },
    { name: 'veth1234abcd', mac: '0a:00:00:00:00:02' },
    { name: 'eth0', mac: '0a:00:00:00:00:03', mtu: 1450, sandbox: '/run/netns/<pod>' },
  ],
  ips: [
    { address: '10.1.2.2/24', gateway: '10.1.2.1', interface: 2 },
    { address: '10.9.0.2/16', interface: 0 },
    { address: '2001:db8::2/64', gateway: '2001:db8::1', interface: 2 },
  ],
  routes: [
    { dst: '0.0.0.0/0', gw: '10.1.2.1', mtu: 1400, advmss: 1360, priority: 5, table: 0, scope: 0 },
    { dst: '::/0', table: 100 },
  ],
  dns: { nameservers: ['10.1.2.1'], domain: 'example.org', search: ['a.example'], options: ['ndots:2'] },
};

type Golden = { readonly [S in ResultShape]: (version: string) => string };

export const hostLocalText: Golden = {
  current: (version) => `{
    "cniVersion": "${version}",
    "ips": [
        {
            "address": "10.1.2.2/24",
            "gateway": "10.1.2.1"
        }
    ],
    "routes": [
        {
            "dst": "0.0.0.0/0"
        }
    ]
}`,
  versioned: (version) => `{
    "cniVersion": "${version}",
    "ips": [
        {
            "version": "4",
            "address": "10.1.2.2/24",
            "gateway": "10.1.2.1"
        }
    ],
    "routes": [
        {
            "dst": "0.0.0.0/0"
        }
    ],
    "dns": {}
}`,
  ip4ip6: (version) => `{
    "cniVersion": "${version}",
    "ip4": {
        "ip": "10.1.2.2/24",
        "gateway": "10.1.2.1",
        "routes": [
            {
                "dst": "0.0.0.0/0"
            }
        ]
    },
    "dns": {}
}`,
};

export const bridgeText: Golden = {
  current: (version) => `{
    "cniVersion": "${version}",
    "dns": {
        "domain": "example.org",
        "nameservers": [
            "10.1.2.1"
        ],
        "options": [
            "ndots:2"
        ],
        "search": [
            "a.example"
        ]
    },
    "interfaces": [
        {
            "mac": "0a:00:00:00:00:01",
            "name": "cni0"
        },
        {
            "mac": "0a:00:00:00:00:02",
            "name": "veth1234abcd"
        },
        {
            "mac": "0a:00:00:00:00:03",
            "mtu": 1450,
            "name": "eth0",
            "sandbox": "/run/netns/\\u003cpod\\u003e"
        }
    ],
    "ips": [
        {
            "address": "10.1.2.2/24",
            "gateway": "10.1.2.1",
            "interface": 2
        },
        {
            "address": "10.9.0.2/16",
            "interface": 0
        },
        {
            "address": "2001:db8::2/64",
            "gateway": "2001:db8::1",
            "interface": 2
        }
    ],
    "routes": [
        {
            "advmss": 1360,
            "dst": "0.0.0.0/0",
            "gw": "10.1.2.1",
            "mtu": 1400,
            "priority": 5,
            "scope": 0,
            "table": 0
        },
        {
            "dst": "::/0",
            "table": 100
        }
    ]
}`,
  versioned: (version) => `{
    "cniVersion": "${version}",
    "interfaces": [
        {
            "name": "cni0",
            "mac": "0a:00:00:00:00:01"
        },
        {
            "name": "veth1234abcd",
            "mac": "0a:00:00:00:00:02"
        },
        {
            "name": "eth0",
            "mac": "0a:00:00:00:00:03",
            "sandbox": "/run/netns/\\u003cpod\\u003e"
        }
    ],
    "ips": [
        {
            "version": "4",
            "interface": 2,
            "address": "10.1.2.2/24",
            "gateway": "10.1.2.1"
        },
        {
            "version": "4",
            "interface": 0,
            "address": "10.9.0.2/16"
        },
        {
            "version": "6",
            "interface": 2,
            "address": "2001:db8::2/64",
            "gateway": "2001:db8::1"
        }
    ],
    "routes": [
        {
            "dst": "0.0.0.0/0",
            "gw": "10.1.2.1",
            "mtu": 1400,
            "advmss": 1360,
            "priority": 5,
            "table": 0,
            "scope": 0
        },
        {
            "dst": "::/0",
            "table": 100
        }
    ],
    "dns": {
        "nameservers": [
            "10.1.2.1"
        ],
        "domain": "example.org",
        "search": [
            "a.example"
        ],
        "options": [
            "ndots:2"
        ]
    }
}`,
  ip4ip6: (version) => `{
    "cniVersion": "${version}",
    "ip4": {
        "ip": "10.1.2.2/24",
        "gateway": "10.1.2.1",
        "routes": [
            {
                "dst": "0.0.0.0/0",
                "gw": "10.1.2.1"
            }
        ]
    },
    "ip6": {
        "ip": "2001:db8::2/64",
        "gateway": "2001:db8::1",
        "routes": [
            {
                "dst": "::/0"
            }
        ]
    },
    "dns": {
        "nameservers": [
            "10.1.2.1"
        ],
        "domain": "example.org",
        "search": [
            "a.example"
        ],
        "options": [
            "ndots:2"
        ]
    }
}`,
};
