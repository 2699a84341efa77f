# Ready contents and helpers: users, links to a shell, to env and to certificates, scripts, merged trees.
{ derive, lib, bash, bashInteractive, coreutils, shadow, cacert, ... }:
let
  inherit (derive) stage write inStore;
  inherit (lib) described optionals overridable toList;
  out = builtins.placeholder "out";

  helper = name: what: described (stage name ([ "helper" what out ] ++ inStore) { }) { };

  users = { extraPasswdLines ? [ ], extraGroupLines ? [ ] }:
    helper "fake-nss" (builtins.toJSON { fakeNss = { inherit extraPasswdLines extraGroupLines; }; });
  merge = { derivations, onlyDeps ? false }:
    stage "merge-drvs"
      ([ "merge-trees" "-o" out ] ++ optionals onlyDeps [ "--only-deps" ] ++ map (source: "${source}") (toList derivations)) { };
in
{
  # /etc/passwd, group and nsswitch.conf with root and nobody, and /var/empty. `override` takes lines to put between them.
  fakeNss = overridable "fakeNss" (builtins.functionArgs users) users { };

  # /bin/sh, /usr/bin/env, and certificates where programs look for them, as links to packages.
  binSh = helper "bin-sh" "binSh=${bashInteractive}";
  usrBinEnv = helper "usr-bin-env" "usrBinEnv=${coreutils}";
  caCertificates = helper "ca-certificates" "caCertificates=${cacert}";

  # For scripts that run as root: what useradd and others of shadow's programs need, where it is not there.
  shadowSetup = ''
    export PATH=${shadow}/bin:$PATH
    mkdir -p /etc/pam.d
    if ! [ -f /etc/passwd ]; then
      echo 'root:x:0:0::/root:${bash}/bin/bash' >/etc/passwd
      echo 'root:!x:::::::' >/etc/shadow
    fi
    if ! [ -f /etc/group ]; then
      echo 'root:x:0:' >/etc/group
      echo 'root:x::' >/etc/gshadow
    fi
    if ! [ -f /etc/pam.d/other ]; then
      printf '%s\n' \
        'account sufficient pam_unix.so' \
        'auth sufficient pam_rootok.so' \
        'password requisite pam_unix.so nullok yescrypt' \
        'session required pam_unix.so' >/etc/pam.d/other
    fi
    [ -f /etc/login.defs ] || touch /etc/login.defs
  '';

  # A program of bash that finds coreutils, where nothing else is in PATH.
  shellScript = name: text: write name ''
    #!${bash}/bin/bash
    set -e
    export PATH=${coreutils}/bin:/bin
    ${text}
  '';

  # Folders and tars in one tree; with onlyDeps, a file that only names them.
  mergeDrvs = overridable "mergeDrvs" (builtins.functionArgs merge) merge;
}
