# shellcheck shell=bash
# Sourced by the scripts that build images. Images are built from this machine's files, without a daemon or a registry.

: "${store:?the folder for containers}"
storage=(--storage-driver vfs --root "$store/root" --runroot "$store/run")

# stage_libraries FOLDER PROGRAM...: copies the shared libraries of programs to a folder.
stage_libraries() {
  local folder=$1 file
  shift
  for file in $(ldd "$@" | grep -o '/[^ ]*lib[^ ]*\.so[^ ]*' | sort -u); do
    mkdir -p "$folder$(dirname "$file")"
    cp -L "$file" "$folder$file"
  done
}

# stage_names FOLDER: writes the users and groups of distroless images, and the order of host name lookups.
stage_names() {
  mkdir -p "$1/etc" "$1/tmp" "$1/home/nonroot"
  chmod 1777 "$1/tmp"
  echo 'hosts: files dns' > "$1/etc/nsswitch.conf"
  printf 'root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/home/nonroot:/sbin/nologin\n' > "$1/etc/passwd"
  printf 'root:x:0:\nnonroot:x:65532:\n' > "$1/etc/group"
}

bud() { # options...
  buildah "${storage[@]}" bud --quiet --isolation chroot "$@" > /dev/null
}

# archive IMAGE FILE: writes an image to an OCI archive.
archive() {
  buildah "${storage[@]}" push --quiet "$1" "oci-archive:$2:$1"
}
