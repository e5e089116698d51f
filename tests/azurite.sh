#!/usr/bin/env bash
# Builds target/images/azurite.tar if it is missing or outdated: an image of Azurite, Microsoft's emulator of Azure Storage,
# from this machine's Node.js and the package that clients/package-lock.json pins.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
images=${CARGO_TARGET_DIR:-$(dirname "$here")/target}/images
image=nhub.test/azurite:test
store=$images/azurite-store
staged=$images/azurite
. "$here/packages.sh"
. "$here/buildah.sh"

# Files that Azurite does not load: documentation, types, and modules for browsers or other module systems.
unneeded=('*.map' '*.ts' '*.mts' '*.cts' '*.md' esm dist-esm browser react-native playwright-core)

stage() {
  local node
  node=$(readlink -f "$(command -v node)")
  mkdir -p "$staged/usr/local/bin" "$staged/opt/azurite"
  cp "$node" "$staged/usr/local/bin/node"
  stage_libraries "$staged" "$node"
  stage_names "$staged"
  tar -C "$here/clients" -c "${unneeded[@]/#/--exclude=}" node_modules | tar -C "$staged/opt/azurite" -x
  printf '#!/usr/local/bin/node\nrequire("/opt/azurite/node_modules/azurite/dist/src/queue/main.js");\n' \
    > "$staged/usr/local/bin/azurite-queue"
  chmod +x "$staged/usr/local/bin/azurite-queue"
}

toolchain node
ensure buildah=buildah crun=crun
made_of=$(cat "$0" "$here/buildah.sh" "$here/clients/package-lock.json" - <<< "$(node --version)" | sha256sum)
if [ -e "$images/azurite.tar" ] && [ "$made_of" = "$(cat "$images/azurite.made-of" 2> /dev/null)" ]; then exit; fi
rm -rf "$store" "$staged" "$images"/azurite.{tar,made-of}
stage
bud --tag "$image" --file - "$staged" <<< $'FROM scratch\nCOPY . /\nENV PATH=/usr/local/bin\nUSER 65532:65532'
archive "$image" "$images/azurite.tar"
echo "$made_of" > "$images/azurite.made-of"
rm -rf "$store" "$staged"
echo "images: $images/azurite.tar" >&2
