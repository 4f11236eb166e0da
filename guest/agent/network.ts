/**
 * Network namespaces of containers. Each gets a macvlan link on the machine's card with the MAC and address the
 * host chose, and sends everything to the host, which routes. All of it happens inside this process: setns,
 * netlink, setns back; no program is run.
 */
import * as os from 'os';
import * as sys from 'sys';
import { exists, openFile, readText, setKernelValue, unmount, writeText } from './files.ts';
import { pause } from './loop.ts';
import { address, linkAddress, linkDelete, linkRename, linkUp, macvlan, route } from './netlink.ts';

const MS_BIND = 4096;
export const namespacePath = (id: string): string => `/run/netns/${id}`;

/** UML's card has a name of its own. */
const otherCard = 'vec0';

/** Loopback and the card of the machine itself. */
export function bringUpCard(): void {
  sys.netlink(linkUp(sys.interfaceIndex('lo')));
  const other = sys.interfaceIndex(otherCard);
  if (other > 0) sys.netlink(linkRename(other, 'eth0'));
  const card = sys.interfaceIndex('eth0');
  if (card > 0) sys.netlink(linkUp(card));
}

/** Where the host says on the kernel's command line that the card is plugged in after the boot, it is worth waiting for. */
const laterWord = 'strata.card=later';
const cardWaitMs = 10_000;
const lookEveryMs = 10;

/** The machine's card, up. A clone runs before it has one. @throws Error where it does not come */
async function readyCard(): Promise<number> {
  const comes = (readText('/proc/cmdline') ?? '').split(/\s+/).includes(laterWord);
  const end = sys.monotonic() + (comes ? cardWaitMs : 0);
  let card = sys.interfaceIndex('eth0');
  for (; card <= 0 && sys.monotonic() < end; card = sys.interfaceIndex('eth0')) await pause(lookEveryMs);
  if (card <= 0) throw new Error('the machine has no network card');
  sys.netlink(linkUp(card));
  return card;
}

/** Gives the card, where it is there and has another, its MAC. One that is plugged in later comes with its own. */
export function nameCard(mac: string): void {
  if (readText('/sys/class/net/eth0/address')?.trim() === mac) return;
  const card = sys.interfaceIndex('eth0');
  if (card > 0) sys.netlink(linkAddress(card, mac));
}

export interface Network { readonly address: string; readonly gateway: string; readonly mac: string }

/** Makes the namespace with its link, address and routes; null gives loopback only. Replaces a leftover. */
export async function makeNamespace(id: string, network: Network | null): Promise<void> {
  const card = network === null ? 0 : await readyCard();
  removeNamespace(id);
  const home = openFile('/proc/self/ns/net', os.O_RDONLY);
  const path = namespacePath(id);
  writeText(path, '');
  let inside = -1;
  try {
    sys.unshareNet();
    sys.mount('/proc/self/ns/net', path, null, MS_BIND, null);
    inside = openFile(path, os.O_RDONLY);
    sys.netlink(linkUp(sys.interfaceIndex('lo')));
    sys.setnsNet(home);
    if (network !== null) connect(card, network, home, inside);
  } catch (error) {
    sys.setnsNet(home);
    removeNamespace(id);
    throw error;
  } finally {
    os.close(home);
    if (inside >= 0) os.close(inside);
  }
}

/** Gives a namespace that is in use another link, with another MAC and address. */
export async function renewLink(id: string, network: Network): Promise<void> {
  const card = await readyCard();
  const home = openFile('/proc/self/ns/net', os.O_RDONLY);
  const inside = openFile(namespacePath(id), os.O_RDONLY);
  try {
    insideNamespace(id, () => {
      const link = sys.interfaceIndex('eth0');
      if (link > 0) sys.netlink(linkDelete(link));
    });
    connect(card, network, home, inside);
  } finally {
    os.close(inside);
    os.close(home);
  }
}

let madeLinks = 0;

function connect(card: number, network: Network, home: number, inside: number): void {
  // A name that the namespace the request comes from must not have either.
  madeLinks += 1;
  const passing = `link${madeLinks}`;
  sys.netlink(macvlan(card, passing, network.mac, inside));
  sys.setnsNet(inside);
  try {
    const link = sys.interfaceIndex(passing);
    sys.netlink(linkRename(link, 'eth0'));
    // The pool's network speaks IPv4; the host would drop what IPv6 says of itself.
    if (exists('/proc/sys/net/ipv6/conf/eth0')) setKernelValue('/proc/sys/net/ipv6/conf/eth0/disable_ipv6', '1');
    sys.netlink(linkUp(link));
    sys.netlink(address(link, network.address, 32));
    sys.netlink(route(link, network.gateway, null));
    sys.netlink(route(link, null, network.gateway));
  } finally {
    sys.setnsNet(home);
  }
}

/**
 * Fine where there is none. The kernel takes a namespace apart some time later, and until then nobody else may
 * have the link's MAC; so the link goes first, at once.
 */
export function removeNamespace(id: string): void {
  const path = namespacePath(id);
  if (!exists(path)) return;
  try {
    insideNamespace(id, () => {
      const link = sys.interfaceIndex('eth0');
      if (link > 0) sys.netlink(linkDelete(link));
    });
  } catch { /* a namespace that was only half made has no link */ }
  unmount(path);
  os.remove(path);
}

/** Runs work with sockets made inside the container's namespace; they stay there afterwards. */
export function insideNamespace<T>(id: string, work: () => T): T {
  const home = openFile('/proc/self/ns/net', os.O_RDONLY);
  const inside = openFile(namespacePath(id), os.O_RDONLY);
  try {
    sys.setnsNet(inside);
    return work();
  } finally {
    sys.setnsNet(home);
    os.close(inside);
    os.close(home);
  }
}
