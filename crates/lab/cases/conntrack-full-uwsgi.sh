# about: a scanner's half-open flows fill the connection-tracking table of this gateway; uwsgi on the next machine gets no SYN any more
# expect: conntrack-full
# forbid: firewall-drop, upstream-blackholed, backend-hung, listen-queue-overflow
# peer: 10.60.0.2:9444
# status: 504
# log: 110: Connection timed out\) while connecting to upstream
setup() {
  neighbour
  uwsgi vineyard '--socket 10.60.0.2:9444' '--processes 2' "$NEXT_DOOR"
  listening 10.60.0.2:9444
  # What clients send is not tracked, so their requests still come in.
  nft -f - <<'NFT'
table inet edge {
    chain early { type filter hook prerouting priority raw; tcp dport 80 notrack; }
    chain early_out { type filter hook output priority raw; tcp dport 80 notrack; tcp sport 80 notrack; }
    chain outgoing { type filter hook output priority filter; ct state new,established,related accept; }
}
NFT
  vhost vineyard <<'CONF'
server {
    listen 80 default_server;
    location / { include uwsgi_params; uwsgi_pass 10.60.0.2:9444; uwsgi_connect_timeout 1s; }
}
CONF
  start_nginx
  get / 3
}
# flows COUNT FROM: that many entries of the table, through the kernel's own interface.
flows() {
  seq "$1" | awk -v from="$2" '{ printf "-I -s %s.%d.%d.%d -d 10.60.0.1 -p tcp --sport %d --dport 25 --state ESTABLISHED -u ASSURED,SEEN_REPLY -t 120\n",
    from, $1 / 65536, ($1 / 256) % 256, $1 % 256, 2000 + $1 % 60000 }' > /lab/flows
  conntrack -R /lab/flows > /dev/null 2>&1 || true
}
fault() { flows $(($(cat /proc/sys/net/netfilter/nf_conntrack_max) + 1500)) 198; }
drive() { flows 300 101; together / 4; flows 300 102; }
