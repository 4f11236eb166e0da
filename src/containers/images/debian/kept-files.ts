/** What of a Debian system goes into an image: no manuals, no translations, no traces of the installation. */
const dropped: readonly RegExp[] = [
  /^usr\/share\/(man|info|locale|lintian|linda|bug)\/./, /^usr\/share\/doc\/.+\/(?!copyright$)[^/]+$/, /^usr\/share\/doc-base\/./,
  /^var\/cache\/apt\/./, /^var\/lib\/apt\/lists\/./, /^var\/cache\/debconf\/.*-old$/, /^var\/lib\/dpkg\/.*-old$/, /^var\/cache\/ldconfig\/./, /^var\/cache\/man\/./,
  /^var\/log\/(dpkg|alternatives|bootstrap|fontconfig)\.log$/, /^var\/log\/apt\/./, /^var\/lib\/dpkg\/(lock|lock-frontend|triggers\/Lock)$/,
  /^(tmp|run|proc|sys|dev)\/./, /^etc\/machine-id$/, /^usr\/sbin\/policy-rc\.d$/, /^etc\/dpkg\/dpkg\.cfg\.d\/strata$/, /^etc\/resolv\.conf$/,
];

/** @param path without leading or trailing slash */
export function isKept(path: string): boolean {
  return !dropped.some((form) => form.test(path));
}

/** The same for dpkg itself, so that what is dropped is not even unpacked. */
export const dpkgConfiguration = ['force-unsafe-io', 'path-exclude=/usr/share/man/*', 'path-exclude=/usr/share/info/*', 'path-exclude=/usr/share/locale/*', 'path-exclude=/usr/share/lintian/*', 'path-exclude=/usr/share/doc/*', 'path-include=/usr/share/doc/*/copyright', ''].join('\n');
