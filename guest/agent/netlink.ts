/** rtnetlink messages as bytes (rtnetlink(7)); pure. One request each, acknowledged. */

const NLM_F_REQUEST = 1;
const NLM_F_ACK = 4;
const NLM_F_CREATE_EXCL = 0x600;

/** A growing little-endian message with nested attributes. */
class Message {
  #bytes: number[] = [];
  u8(value: number): this { this.#bytes.push(value & 255); return this; }
  u16(value: number): this { return this.u8(value).u8(value >> 8); }
  u32(value: number): this { return this.u16(value & 0xffff).u16(value >>> 16); }
  raw(bytes: readonly number[]): this { this.#bytes.push(...bytes); return this; }
  attribute(type: number, payload: readonly number[]): this {
    this.u16(payload.length + 4).u16(type).raw(payload);
    while (this.#bytes.length % 4 !== 0) this.u8(0);
    return this;
  }
  bytes(): number[] { return this.#bytes; }
}

function request(type: number, flags: number, body: readonly number[]): ArrayBuffer {
  const message = new Message().u32(16 + body.length).u16(type).u16(NLM_F_REQUEST | NLM_F_ACK | flags).u32(1).u32(0).raw(body);
  return new Uint8Array(message.bytes()).buffer;
}

const u32 = (value: number): number[] => new Message().u32(value).bytes();
const zero = (text: string): number[] => [...[...text].map((letter) => letter.charCodeAt(0)), 0];
export const ipv4 = (address: string): number[] => address.split('.').map(Number);
export const macBytes = (mac: string): number[] => mac.split(':').map((part) => parseInt(part, 16));

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_NEWADDR = 20;
const RTM_NEWROUTE = 24;
const AF_INET = 2;

/** struct ifinfomsg: family, pad, type, index, flags, change. */
const linkHeader = (index: number, flags: number, change: number): Message => new Message().u8(0).u8(0).u16(0).u32(index).u32(flags).u32(change);

/** Brings a link up. */
export const linkUp = (index: number): ArrayBuffer => request(RTM_NEWLINK, 0, linkHeader(index, 1, 1).bytes());

/** Takes a link away; when the kernel answers it is gone. */
export const linkDelete = (index: number): ArrayBuffer => request(RTM_DELLINK, 0, linkHeader(index, 0, 0).bytes());

/** Gives a link, which must be down, another name. */
export const linkRename = (index: number, name: string): ArrayBuffer => request(RTM_NEWLINK, 0, linkHeader(index, 0, 0).attribute(IFLA_IFNAME, zero(name)).bytes());

/** Gives a link another MAC; a virtio card takes it while it is up. */
export const linkAddress = (index: number, mac: string): ArrayBuffer => request(RTM_NEWLINK, 0, linkHeader(index, 0, 0).attribute(IFLA_ADDRESS, macBytes(mac)).bytes());

const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_LINK = 5;
const IFLA_LINKINFO = 18;
const IFLA_NET_NS_FD = 28;
const MACVLAN_MODE_VEPA = 2;

/** A macvlan link in VEPA mode, made right inside another network namespace: all its traffic goes out to the host. */
export function macvlan(parent: number, name: string, mac: string, namespaceFd: number): ArrayBuffer {
  const mode = new Message().attribute(1, u32(MACVLAN_MODE_VEPA)).bytes();
  const info = new Message().attribute(1, zero('macvlan')).attribute(2, mode).bytes();
  const body = linkHeader(0, 0, 0).attribute(IFLA_IFNAME, zero(name)).attribute(IFLA_LINK, u32(parent)).attribute(IFLA_ADDRESS, macBytes(mac))
    .attribute(IFLA_NET_NS_FD, u32(namespaceFd)).attribute(IFLA_LINKINFO, info);
  return request(RTM_NEWLINK, NLM_F_CREATE_EXCL, body.bytes());
}

/** An address of one link: struct ifaddrmsg, IFA_ADDRESS and IFA_LOCAL. */
export function address(index: number, ip: string, prefix: number): ArrayBuffer {
  const body = new Message().u8(AF_INET).u8(prefix).u8(0).u8(0).u32(index).attribute(2, ipv4(ip)).attribute(1, ipv4(ip));
  return request(RTM_NEWADDR, NLM_F_CREATE_EXCL, body.bytes());
}

const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;

/** A route: `destination` null is the default; `gateway` null means on-link. */
export function route(index: number, destination: string | null, gateway: string | null): ArrayBuffer {
  const scope = gateway === null ? 253 : 0;
  const body = new Message().u8(AF_INET).u8(destination === null ? 0 : 32).u8(0).u8(0).u8(254).u8(3).u8(scope).u8(1).u32(0);
  if (destination !== null) body.attribute(RTA_DST, ipv4(destination));
  if (gateway !== null) body.attribute(RTA_GATEWAY, ipv4(gateway));
  return request(RTM_NEWROUTE, NLM_F_CREATE_EXCL, body.attribute(RTA_OIF, u32(index)).bytes());
}
