# about: the route to the backends' network is gone, and there is no default route
# expect: no-route-to-upstream
# forbid: firewall-reject, backend-not-running, upstream-blackholed
# peer: 10.70.0.9:8320
# status: 502
# log: 101: Network is unreachable\) while connecting to upstream
setup() {
  neighbour
  there ip addr add 10.70.0.9/32 dev lo
  ip route add 10.70.0.0/24 via 10.60.0.2
  serve orchestra 10.70.0.9:8320 '' "$NEXT_DOOR"
  listening 10.70.0.9:8320
  proxy_to orchestra http://10.70.0.9:8320
  start_nginx
  get / 3
}
fault() { ip route del 10.70.0.0/24; }
drive() { get / 5; }
