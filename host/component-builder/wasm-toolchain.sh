#!/bin/sh
# wasm-toolchain.sh PREFIX
#
# Makes PREFIX/bin/rustc, a Rust compiler that has the wasm32 targets, for machines where rustup can't deliver them.
#
# It takes a matched pair of rustc and prebuilt wasm32 std from a newer Debian suite than the machine's own, unpacks it into PREFIX
# and runs it through its own ld.so. No root, no change to the system's apt or to rustup; apt checks the archive's signatures; the
# mirror is the one that the machine's own apt configuration names. PREFIX/complete is written last.
set -eu
prefix=$1
mkdir -p "$prefix"
prefix=$(cd "$prefix" && pwd)
host=x86_64-unknown-linux-gnu
multiarch=x86_64-linux-gnu
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
# The linker is that of the Rust toolchain which is here already: it can link wasm, it only lacks the library.
tools=$(rustc --print sysroot)/lib/rustlib/$host/bin

mirror() {
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | sort -u | head -n1
}

# A private apt state, so that neither root nor the system's own lists are needed.
write_apt_state() {
  suite=$1
  rm -rf "$state" "$prefix/root"
  mkdir -p "$state/lists/partial" "$state/archives/partial" "$state/parts" "$prefix/root" "$prefix/bin"
  : >"$state/status"
  echo "deb [signed-by=$keyring] $mirror $suite main" >"$state/sources.list"
  cat >"$state/apt.conf" <<CONF
Dir::State "$state"; Dir::State::status "$state/status"; Dir::Cache "$state"; Dir::Cache::archives "$state/archives"; Dir::Log "$state";
Dir::Etc::sourcelist "$state/sources.list"; Dir::Etc::sourceparts "$state/parts"; Dir::Etc::preferencesparts "$state/parts"; Dir::Etc::preferences "/dev/null";
APT::Sandbox::User ""; APT::Architectures { "amd64"; };
Acquire::Languages "none"; Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false"; Acquire::Retries "3"; Debug::NoLocking "true";
#clear DPkg::Post-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
CONF
}

fetch_and_unpack() {
  apt="apt-get -q -c $state/apt.conf"
  $apt update || return 1
  $apt -qq -y --no-install-recommends --download-only install libstd-rust-dev libstd-rust-dev-wasm32 || return 1
  # rustc itself is fetched without its dependencies: gcc and the like are not needed for wasm.
  (cd "$state/archives" && $apt download rustc) || return 1
  for package in "$state"/archives/*.deb; do dpkg-deb -x "$package" "$prefix/root" || return 1; done
  rm -rf "$state"
}

install_wrapper() {
  root=$prefix/root
  usr=$root/usr
  mkdir -p "$usr/lib/rustlib/$host/bin"
  for tool in rust-lld wasm-component-ld gcc-ld; do ln -sfn "$tools/$tool" "$usr/lib/rustlib/$host/bin/$tool"; done
  loader=$(ls "$usr/lib64/ld-linux-x86-64.so.2" "$root/lib64/ld-linux-x86-64.so.2" "$usr/lib/$multiarch/ld-linux-x86-64.so.2" 2>/dev/null | head -n1)
  [ -n "$loader" ] || { echo "no dynamic loader in $root" >&2; return 1; }
  cat >"$prefix/bin/rustc" <<WRAPPER
#!/bin/sh
exec "$loader" --library-path "$usr/lib/$multiarch:$root/lib/$multiarch" "$usr/bin/rustc" --sysroot "$usr" "\$@"
WRAPPER
  chmod +x "$prefix/bin/rustc"
  # Documentation and the linkable static libraries of other languages are most of what is unpacked and never used.
  rm -rf "$usr/share/doc" "$usr/share/man" "$usr/share/info" "$usr/share/locale"
}

compiles_wasm() {
  echo 'pub fn probe() {}' >"$prefix/probe.rs"
  "$prefix/bin/rustc" --target wasm32-unknown-unknown --crate-type cdylib -o "$prefix/probe.wasm" "$prefix/probe.rs" &&
    rm -f "$prefix/probe.rs" "$prefix/probe.wasm"
}

mirror=$(mirror)
[ -n "$mirror" ] || { apt-get -q update && mirror=$(mirror); }
[ -n "$mirror" ] || { echo "apt knows no Debian mirror on this machine" >&2; exit 1; }
for suite in forky trixie; do
  state=$prefix/apt-$suite
  if write_apt_state "$suite" && fetch_and_unpack && install_wrapper && compiles_wasm; then
    echo "$suite" >"$prefix/complete"
    exit 0
  fi
  echo "suite $suite did not work, trying the next" >&2
done
exit 1
