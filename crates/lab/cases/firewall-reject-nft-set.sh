# about: an nftables set forbids ports of the neighbouring machine, and says so with "host prohibited"
# expect: firewall-reject
# forbid: no-route-to-upstream, backend-not-running
# peer: 10.60.0.2:8302
# status: 502
# log: 113: No route to host.*10.60.0.2:8302
setup() {
  neighbour
  serve radio 10.60.0.2:8302 '' "$NEXT_DOOR"
  listening 10.60.0.2:8302
  proxy_to radio http://10.60.0.2:8302
  start_nginx
  get / 4
}
fault() {
  nft -f - <<'NFT'
table inet guard {
  set closed { type inet_service; flags interval; elements = { 3306, 8300-8309 } }
  chain outgoing {
    type filter hook output priority 0; policy accept;
    ip daddr 10.60.0.2 tcp dport @closed counter reject with icmp type host-prohibited
  }
}
NFT
}
drive() { get / 5; }
