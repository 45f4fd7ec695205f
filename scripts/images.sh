#!/usr/bin/env bash
# Builds the images: scripts/images.sh build [--full] [--base IMAGE] [--tag TAG]; scripts/images.sh sizes; scripts/images.sh test
#
#   build   by Docker where it runs, else by buildah, which apt has. Programs are built by cargo here and copied; OMS_PROGRAMS=DIR
#           takes them from there; --full builds them in the image BUILD_BASE instead. --base is the runtime base. Without
#           it: that of the Dockerfile, and where that cannot be pulled, a base made here of what the programs need.
#   sizes   what each image adds to its base; fails when that is more than 25 MB for a service
#   test    builds them, checks their sizes, runs the five by Docker or podman, unprivileged and read-only, and takes an order to cash through them
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
. scripts/lib.sh

services=(order inventory fulfillment shipping returns)
work=${CARGO_TARGET_DIR:-$PWD/target}/images
own_base=oms-runtime-base

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
tag=$version

name_of() { if [ "$1" = oms ]; then echo oms; else echo "oms-$1"; fi; }

# Docker where it runs, else buildah. Where no overlay can be mounted, plain copies do.
choose_tool() {
    if have docker && docker info >/dev/null 2>&1; then
        tool=docker
        return
    fi
    need buildah buildah
    tool=buildah
    if [ -z "${STORAGE_DRIVER:-}" ] && ! probe_storage; then export STORAGE_DRIVER=vfs; fi
}

# Mounting is what fails inside of a container.
probe_storage() {
    local container
    container=$(buildah from scratch 2>/dev/null) || return 1
    buildah mount "$container" >/dev/null 2>&1
    local mounted=$?
    buildah rm "$container" >/dev/null 2>&1
    return "$mounted"
}

build_programs() {
    local packages=(--package oms) name
    for name in "${services[@]}"; do packages+=(--package "oms-$name"); done
    [ -n "${OMS_PROGRAMS:-}" ] || cargo build --profile image --locked "${packages[@]}"
    local programs=${OMS_PROGRAMS:-${CARGO_TARGET_DIR:-target}/image}
    rm -rf "$work/context"
    mkdir -p "$work/context/bin"
    for name in oms "${services[@]}"; do
        name=$(name_of "$name")
        # Names and lines stay in the program that cargo built: keep it to read backtraces.
        strip --strip-all -o "$work/context/bin/$name" "$programs/$name"
    done
}

# A base from nothing: the libraries that the programs are linked with, the CA bundle, and who they run as.
make_base() {
    local root=$work/base library
    rm -rf "$root"
    mkdir -p "$root"/{etc/ssl/certs,tmp,usr/local/bin}
    for program in "$work"/context/bin/*; do ldd "$program"; done |
        grep -o '/[^ ]*' | sort -u | while read -r library; do
        mkdir -p "$root$(dirname "$library")"
        cp -L "$library" "$root$library"
    done
    [ -e /etc/ssl/certs/ca-certificates.crt ] || need update-ca-certificates ca-certificates
    cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
    echo 'nonroot:x:65532:65532:nonroot:/:/sbin/nologin' >"$root/etc/passwd"
    echo 'nonroot:x:65532:' >"$root/etc/group"
    printf 'FROM scratch\nCOPY . /\n' >"$work/base.Dockerfile"
    build_image "$own_base:latest" "$root" --file "$work/base.Dockerfile"
}

build_image() {
    local name=$1 context=$2
    shift 2
    case $tool in
    docker) docker build --quiet --tag "$name" "$@" "$context" >/dev/null ;;
    buildah) buildah build --quiet --layers=false --format oci --tag "$name" "$@" "$context" >/dev/null ;;
    esac
}

pullable() {
    case $tool in
    docker) docker pull --quiet "$1" >/dev/null 2>&1 ;;
    buildah) timeout 30 buildah pull --quiet "$1" >/dev/null 2>&1 ;;
    esac
}

build() {
    local full='' base='' arguments=() context=.
    while [ $# -gt 0 ]; do
        case $1 in
        --full) full=1 && shift && continue ;;
        --base) base=${2:?--base takes an image} ;;
        --tag) tag=${2:?--tag takes a tag} ;;
        *) die "$1 is no option: --full, --base IMAGE, --tag TAG" ;;
        esac
        shift 2
    done
    choose_tool
    if [ -z "$full" ]; then
        build_programs
        arguments+=(--build-arg BINARIES=prebuilt)
        context=$work/context
    fi
    local theirs
    theirs=$(sed -n 's/^ARG RUNTIME_BASE=//p' Dockerfile)
    if [ -z "$base" ] && ! pullable "$theirs"; then
        [ -z "$full" ] || die "$theirs cannot be pulled"
        say "$theirs cannot be pulled: the images get a base made here"
        make_base
        base=localhost/$own_base:latest
        [ "$tool" = buildah ] || base=$own_base:latest
    fi
    [ -z "$base" ] || arguments+=(--build-arg "RUNTIME_BASE=$base")
    arguments+=(--build-arg "VERSION=$version" --build-arg "REVISION=$(git rev-parse HEAD 2>/dev/null || echo unknown)")
    local target
    for target in "${services[@]}" oms; do
        say "image $(name_of "$target"):$tag"
        build_image "$(name_of "$target"):$tag" "$context" --file Dockerfile --target "$target" "${arguments[@]}"
    done
    sizes
}

size_of() {
    case $tool in
    docker) docker image inspect --format '{{.Size}}' "$1" ;;
    buildah) podman image inspect --format '{{.Size}}' "$1" ;;
    esac
}

# In MB, of a million bytes.
sizes() {
    [ -n "${tool:-}" ] || choose_tool
    [ "$tool" = docker ] || need podman podman
    local target image own program
    too_large=''
    for target in "${services[@]}" oms; do
        image=$(name_of "$target"):$tag
        own=$(size_of "$image")
        program=$(stat -c %s "$work/context/bin/$(name_of "$target")" 2>/dev/null || echo 0)
        printf '%-24s %6.1f MB, of which beyond the base %6.1f MB\n' "$image" \
            "$(echo "$own" | awk '{ print $1 / 1e6 }')" "$(echo "$program" | awk '{ print $1 / 1e6 }')"
        [ "$program" -lt 25000000 ] || [ "$target" = oms ] || too_large+=" $image"
    done
}

check_sizes() {
    sizes
    [ -z "$too_large" ] || die "larger than 25 MB beyond the base:$too_large"
}

run_test() {
    choose_tool
    build
    [ -z "$too_large" ] || die "larger than 25 MB beyond the base:$too_large"
    local run=("$tool" run)
    if [ "$tool" = buildah ]; then
        need podman podman
        need runc runc
        run=(podman --runtime=runc run)
    fi
    # As in the chart: nothing but the program, and no way to become more. The ports are those of this machine.
    run+=(--rm --network=host --user=65532:65532 --read-only --cap-drop=all --security-opt=no-new-privileges)
    run+=(--ulimit=nofile=4096:4096 --ulimit=nproc=4096:4096)
    export OMS_IMAGES_RUN="${run[*]}" OMS_IMAGES_TAG=$tag
    cargo test --locked --workspace --test images -- --ignored --nocapture
}

case "${1:-}" in
build) shift && build "$@" ;;
sizes) check_sizes ;;
test) run_test ;;
*) die "usage: scripts/images.sh build [--full] [--base IMAGE] [--tag TAG] | sizes | test" ;;
esac
