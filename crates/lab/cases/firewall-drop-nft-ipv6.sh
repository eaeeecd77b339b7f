# about: an input chain drops what arrives on loopback over IPv6 for the application's port
# expect: firewall-drop
# forbid: upstream-blackholed, listen-queue-overflow, backend-hung
# peer: [::1]:8310
# status: 504
# log: 110: Connection timed out\) while connecting to upstream
setup() {
  serve garden '[::1]:8310'
  listening '[::1]:8310'
  proxy_to garden 'http://[::1]:8310' 'proxy_connect_timeout 1s;'
  start_nginx
  get / 4
}
fault() {
  nft add table ip6 filter6
  nft 'add chain ip6 filter6 incoming { type filter hook input priority 0; policy accept; }'
  nft add rule ip6 filter6 incoming tcp dport 8310 drop
}
drive() { together / 3; get / 1; }
