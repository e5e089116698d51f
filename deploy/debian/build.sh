#!/usr/bin/env bash
# Builds the Debian package of a hub from its program, and prints the path of the package.
# Usage: build.sh PROGRAM FOLDER [ARCHITECTURE], such as amd64; by default that of this machine
set -euo pipefail
[ $# -ge 2 ] || { echo "usage: build.sh PROGRAM FOLDER [ARCHITECTURE]" >&2; exit 2; }
program=$(realpath -- "$1")
[ -x "$program" ] || { echo "build.sh: $1: no program; build it first" >&2; exit 1; }
mkdir -p "$2"
folder=$(realpath -- "$2")
architecture=${3:-$(dpkg --print-architecture)}
cd "$(dirname "$0")/../.."
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
umask 022
chmod 755 "$tree"
# Every build of a commit has the same files.
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2> /dev/null || date +%s)}

put() { install -D -m "$1" "$2" "$tree/$3"; }

put 755 "$program" usr/bin/notification-hub
strip --strip-unneeded "$tree/usr/bin/notification-hub"
put 644 deploy/systemd/notification-hub.service lib/systemd/system/notification-hub.service
# It may hold a password.
put 600 deploy/systemd/config.toml etc/notification-hub/config.toml
mkdir "$tree/etc/notification-hub/keys"
put 644 docs/configuration.md usr/share/doc/notification-hub/configuration.md
put 644 docs/deploy.md usr/share/doc/notification-hub/deploy.md
put 644 /dev/stdin usr/share/doc/notification-hub/copyright << END
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: notification-hub
Source: https://github.com/notification-hub/notification-hub

Files: *
Copyright: the authors of Notification Hub
License: Apache-2.0
 On Debian systems, the text is in /usr/share/common-licenses/Apache-2.0.
END
put 644 /dev/stdin usr/share/doc/notification-hub/changelog << END
notification-hub ($version) stable; urgency=medium

  * CHANGELOG.md in the repository lists the changes.

 -- Notification Hub <notification-hub@users.noreply.github.com>  $(date --utc --rfc-email --date="@$SOURCE_DATE_EPOCH")
END
gzip -9n "$tree/usr/share/doc/notification-hub/changelog"

for script in postinst prerm postrm; do put 755 deploy/debian/$script DEBIAN/$script; done
put 644 /dev/stdin DEBIAN/conffiles <<< /etc/notification-hub/config.toml
# The newest version of a symbol of glibc that the program uses; none if it is static.
glibc=$(objdump -T "$program" 2> /dev/null | grep -o 'GLIBC_[0-9.]*' | sort -V | tail -n 1 || true)
put 644 /dev/stdin DEBIAN/control << END
Package: notification-hub
Version: $version
Architecture: $architecture
Maintainer: Notification Hub <notification-hub@users.noreply.github.com>
Section: net
Priority: optional
Installed-Size: $(du -sk --exclude=DEBIAN "$tree" | cut -f 1)
${glibc:+Depends: libc6 (>= ${glibc#GLIBC_}), libgcc-s1
}Recommends: ca-certificates
Homepage: https://github.com/notification-hub/notification-hub
Description: replacement for the notifications service of Bitwarden
 Notification Hub keeps the WebSockets of Bitwarden's clients and delivers the
 pushes of the server to them, by the protocol of ASP.NET Core SignalR.
END
(cd "$tree" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | sort -z | xargs -0 md5sum > DEBIAN/md5sums)
dpkg-deb --root-owner-group --build "$tree" "$folder/notification-hub_${version}_$architecture.deb" >&2
echo "$folder/notification-hub_${version}_$architecture.deb"
