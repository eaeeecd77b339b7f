# about: a profile for nginx allows its web ports alone. This kernel need not have AppArmor: a filter of system calls refuses connect(), the records are of the kernel's own form
# expect: apparmor-denied
# forbid: selinux-denied, no-route-to-upstream, backend-not-running, firewall-reject
# peer: 127.0.0.1:8571
# status: 502
# log: 13: Permission denied\) while connecting to upstream
setup() {
  uwsgi harbour '--socket 127.0.0.1:8571' '--processes 2'
  listening 127.0.0.1:8571
  static_site notices
  vhost harbour <<'CONF'
server {
    listen 80 default_server;
    location / { include uwsgi_params; uwsgi_pass 127.0.0.1:8571; }
}
CONF
  start_nginx
  get / 3
}
fault() { refuse_call nginx connect; }
drive() {
  get / 4
  get / 2 -H 'Host: notices.example.org'
  local worker n
  worker=$(pgrep -f 'nginx: worker' | head -n 1)
  for n in 1 2 3 4; do
    echo "type=AVC msg=audit($(date +%s.%3N):$((900 + n))): apparmor=\"DENIED\" operation=\"connect\" class=\"net\" profile=\"nginx\" pid=$worker comm=\"nginx\" family=\"inet\" sock_type=\"stream\" protocol=6 requested_mask=\"connect\" denied_mask=\"connect\""
  done | audit_log
}
