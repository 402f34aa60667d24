/** Which pod an attachment is of, as the kubelet's runtime says it in CNI_ARGS. */

export interface Pod {
  readonly namespace: string;
  readonly name: string;
}

/** From `K8S_POD_NAMESPACE` and `K8S_POD_NAME`; `undefined` for a container that is in no pod. For people only. */
export function podOf(args: string): Pod | undefined {
  const values = new Map(args.split(';').map((pair) => [pair.split('=')[0], pair.split('=')[1] ?? '']));
  const name = (values.get('K8S_POD_NAME') ?? '').slice(0, 253);
  return name === '' ? undefined : { namespace: (values.get('K8S_POD_NAMESPACE') ?? '').slice(0, 253), name };
}
