# about: a policy rule prohibits traffic to the backends' machine: connect() is denied, though no security module is at work
# expect: no-route-to-upstream
# forbid: selinux-denied, apparmor-denied, firewall-reject
# peer: 10.60.0.2:8324
# status: 502
# log: 13: Permission denied\) while connecting to upstream
setup() {
  neighbour
  serve opera 10.60.0.2:8324 '' "$NEXT_DOOR"
  listening 10.60.0.2:8324
  proxy_to opera http://10.60.0.2:8324
  start_nginx
  get / 3
}
fault() { ip rule add to 10.60.0.2 priority 100 prohibit; }
drive() { get / 5; }
