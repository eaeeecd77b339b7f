# about: a rule lets each host have three connections to the API and drops what is above
# expect: firewall-drop
# forbid: upstream-blackholed, backend-hung, listen-queue-overflow
# peer: 10.60.0.2:8691
# status: 504
# log: 110: Connection timed out\) while connecting to upstream
setup() {
  neighbour
  node ferry 10.60.0.2:8691 '' "$NEXT_DOOR"
  listening 10.60.0.2:8691
  proxy_to ferry http://10.60.0.2:8691 'proxy_connect_timeout 1s;'
  start_nginx
  get / 3
}
fault() {
  nft add table inet fair
  nft 'add chain inet fair outgoing { type filter hook output priority 0; }'
  nft add rule inet fair outgoing tcp dport 8691 ct state new ct count over 3 counter drop
}
drive() { together /wait/2 9; }
