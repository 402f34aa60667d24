/** Which call it is: the words that begin every line about it. */

export interface Head {
  readonly plugin: string;
  readonly verb: string;
  /** '' where the call was refused before it was known; so the others. */
  readonly network: string;
  readonly containerId: string;
  readonly ifname: string;
}
