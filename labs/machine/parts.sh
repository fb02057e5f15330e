# The parts of the virtual machine: a kernel, the first file system, and a layer of files for
# the machine alone. Sourced by labs/vm.
#
# They are made once, in .build/vm. Remove that to have them made anew, with the newest kernel.
#
# shellcheck shell=bash disable=SC2034,SC2154

parts=$root/.build/vm

case $(uname -m) in
x86_64)
    architecture=amd64 qemu=qemu-system-x86_64 qemu_package=qemu-system-x86
    machine=q35 console=ttyS0
    ;;
aarch64)
    architecture=arm64 qemu=qemu-system-aarch64 qemu_package=qemu-system-arm
    machine=virt console=ttyAMA0
    ;;
*) die "there is no virtual machine for $(uname -m) yet" "It knows x86_64 and aarch64." ;;
esac

# What the kernel needs before it has found its files.
first_modules=(virtio_pci 9pnet_virtio 9p overlay virtio_console)
# What only the machine needs. Like the kernel they are unpacked and not installed, because to
# install them would change this machine: its boot menu, its AppArmor profiles.
layer_packages=(apparmor checkpolicy)

prepare() {
    need_packages "$qemu_package" "${rootfs_packages[@]}" kmod cpio xz-utils \
        iproute2 nftables util-linux
    mkdir -p "$parts"
    # Two at a time would unpack over each other.
    exec {lock}>"$parts/lock"
    flock "$lock"
    sweep
    if ! [[ $parts/complete -nt $labs/machine/parts.sh ]]; then make_layer; fi
    if ! [[ $parts/initramfs -nt $labs/machine/init && $parts/initramfs -nt $parts/complete ]]; then
        make_initramfs
    fi
    choose_accelerator
    # Root that builds for somebody else leaves nothing that only root can remove.
    if is_root; then chown -R --reference="$root" "$parts"; fi
    exec {lock}>&-
}

# Removes what a killed labs/vm has left: the directories that nobody holds.
sweep() {
    local directory
    for directory in "$parts"/run-*; do
        if [[ -d $directory ]] && flock --nonblock "$directory" true; then
            rm -rf -- "$directory"
        fi
    done
}

# The kernel and the layer ---------------------------------------------------------

make_layer() {
    local kernel log
    log=$(mktemp)
    rm -rf -- "$parts"/{layer,debs,kernel,complete,accelerator}
    mkdir -p "$parts"/{layer,debs}
    kernel=$(kernel_package)
    step "Fetching $kernel for the virtual machine"
    with_progress "$log" fetch "$kernel" "${layer_packages[@]}" ||
        die "apt-get could not download $kernel"
    step "Unpacking it"
    with_progress "$log" unpack || die "$kernel could not be unpacked"
    rm -rf -- "$parts/debs" "$log"
    touch "$parts/complete"
}

# The package that the name for the newest one leads to.
kernel_package() {
    local always=linux-image-$architecture
    apt-cache show "$always" >/dev/null 2>&1 || apt-get update >/dev/null 2>&1 || true
    apt-cache depends "$always" 2>/dev/null | awk '/Depends: linux-image-/ { print $2; exit }' |
        grep . ||
        die "apt-get knows no $always" \
            "The machine runs Debian's kernel: Debian's packages have to be among the sources."
}

fetch() {
    cd -- "$parts/debs" || return
    download "$@" || { apt-get update && download "$@"; }
}

download() { apt-get -o APT::Sandbox::User=root download "$@"; }

# The modules for hardware that the machine has not stay where they are.
unpack() {
    local deb top
    for deb in "$parts"/debs/*.deb; do
        dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$parts/layer" --no-same-owner \
            --exclude='./usr/share/'{doc,man,locale,bug} --exclude='./etc/init.d' \
            --exclude='*/System.map-*' --exclude='*/kernel/sound' \
            --exclude='*/kernel/drivers/'{gpu,media,infiniband,iio,usb,scsi,staging,mmc,hwmon} \
            --exclude='*/drivers/net/'{ethernet,wireless,can,phy,usb,dsa,wan,hamradio} ||
            return
    done
    # A directory of this name would hide the link to usr that stands in its place.
    for top in bin sbin lib; do
        [[ -d $parts/layer/$top ]] || continue
        mkdir -p "$parts/layer/usr/$top"
        cp -a "$parts/layer/$top/." "$parts/layer/usr/$top"
        rm -rf -- "${parts:?}/layer/$top"
    done
    unpack_kernel "$parts"/layer/boot/vmlinuz-*
    rm -rf -- "$parts/layer/boot"
    # Where it looks for modules below the directory it is given has changed over time.
    depmod -b "$parts/layer/usr" "$(release)" 2>/dev/null || depmod -b "$parts/layer" "$(release)"
}

# A kernel unpacks itself when it starts, which takes an emulated processor some seconds. QEMU
# takes it unpacked as well.
unpack_kernel() {
    local offset
    offset=$(LC_ALL=C grep -aboP -m 1 '\xFD7zXZ\x00' "$1" | head -n 1 | cut -d : -f 1)
    # What follows the kernel in the file is no part of it; xz says so, and fails.
    tail -c "+$((${offset:-0} + 1))" "$1" | xz -dc --single-stream >"$parts/kernel" || true
    if [[ $(head -c 4 "$parts/kernel" | tail -c 3) != ELF ]]; then mv "$1" "$parts/kernel"; fi
}

# The release of the kernel in the layer.
release() { basename "$parts"/layer/usr/lib/modules/*; }

depmod() { /sbin/depmod "$@"; }

# The first file system ------------------------------------------------------------

# An archive in memory with busybox, a few modules and machine/init.
make_initramfs() {
    local directory module file number=10
    directory=$(mktemp -d)
    mkdir -p "$directory"/{bin,modules,dev,proc,sys,host,layer,memory,root}
    cp -- "$(command -v busybox)" "$directory/bin/busybox"
    ln -s busybox "$directory/bin/sh"
    install -m 755 "$labs/machine/init" "$directory/init"
    for module in "${first_modules[@]}"; do needed_files "$module"; done |
        awk '!seen[$0]++' |
        while read -r file; do
            # Their names carry the order in which they go in.
            number=$((number + 1))
            case $file in
            *.xz) xz -dc "$file" >"$directory/modules/$number.ko" ;;
            *.zst) zstd -dcq "$file" >"$directory/modules/$number.ko" ;;
            *) cp -- "$file" "$directory/modules/$number.ko" ;;
            esac
        done
    (cd -- "$directory" && find . | cpio --quiet -o -H newc | gzip -1) >"$parts/initramfs"
    rm -rf -- "$directory"
}

# The files of a module and of those that it needs, in order.
needed_files() {
    {
        modprobe -d "$parts/layer/usr" -S "$(release)" --show-depends "$1" 2>/dev/null ||
            modprobe -d "$parts/layer" -S "$(release)" --show-depends "$1"
    } | awk '$1 == "insmod" { print $2 }'
}

modprobe() { /sbin/modprobe "$@"; }

# KVM or emulation -----------------------------------------------------------------

# On some machines KVM is there and does not work: a machine in it hangs. So it is tried, with
# a kernel that turns itself off as soon as it runs, and the answer is kept.
choose_accelerator() {
    local arguments answer=tcg known="$parts/accelerator.known"
    local question
    question="$(uname -r) $(stat -c %Y "$(command -v "$qemu")") ${HULL_VM_ACCEL:-}"
    if [[ -f $parts/accelerator && $(cat "$known" 2>/dev/null) == "$question" ]]; then return; fi
    case ${HULL_VM_ACCEL:-} in
    kvm | tcg) answer=$HULL_VM_ACCEL ;;
    '') if kvm_works; then answer=kvm; fi ;;
    *) die "HULL_VM_ACCEL is kvm or tcg, not $HULL_VM_ACCEL" ;;
    esac
    printf '%s\n' "$answer" >"$parts/accelerator"
    printf '%s\n' "$question" >"$known"
}

kvm_works() {
    [[ -r /dev/kvm && -w /dev/kvm ]] || return 1
    step "Trying KVM"
    qemu_arguments kvm
    limited 10 "$qemu" "${arguments[@]}" -append "panic=-1 quiet hull.try" </dev/null >/dev/null 2>&1
}
