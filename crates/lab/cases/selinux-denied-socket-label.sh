# about: the application's socket lies in a folder with a label that nginx's domain may not write to. This kernel has no SELinux policy: a filter of system calls refuses connect(), the audit records are of genuine form
# expect: selinux-denied
# forbid: unix-socket-permission, apparmor-denied, backend-not-running
# peer: /srv/ledger/run/ledger.sock
# status: 502
# log: connect\(\) to unix:/srv/ledger/run/ledger.sock failed \(13: Permission denied\)
setup() {
  install -d -o www-data -m 755 /srv/ledger/run
  node ledger /srv/ledger/run/ledger.sock
  listening /srv/ledger/run/ledger.sock
  proxy_to ledger http://unix:/srv/ledger/run/ledger.sock
  start_nginx
  get / 3
}
fault() { refuse_call nginx connect; }
drive() {
  get / 4
  local worker n at id
  worker=$(pgrep -f 'nginx: worker' | head -n 1)
  for n in 1 2 3 4; do
    at=$(date +%s.%3N) id=$((7100 + n))
    echo "type=AVC msg=audit($at:$id): avc:  denied  { write } for  pid=$worker comm=\"nginx\" name=\"ledger.sock\" dev=\"dm-0\" ino=201394 scontext=system_u:system_r:httpd_t:s0 tcontext=unconfined_u:object_r:var_t:s0 tclass=sock_file permissive=0"
    echo "type=SYSCALL msg=audit($at:$id): arch=c000003e syscall=42 success=no exit=-13 a0=5 a1=5638b3b6e2e8 a2=6e a3=7ffe4b0a1a5c items=1 ppid=1 pid=$worker auid=4294967295 uid=33 gid=33 euid=33 suid=33 fsuid=33 egid=33 sgid=33 fsgid=33 tty=(none) ses=4294967295 comm=\"nginx\" exe=\"/usr/sbin/nginx\" subj=system_u:system_r:httpd_t:s0 key=(null)"
    echo "type=PROCTITLE msg=audit($at:$id): proctitle=6E67696E783A20776F726B65722070726F63657373"
  done | audit_log
}
