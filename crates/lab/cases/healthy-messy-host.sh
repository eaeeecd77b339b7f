# about: failed units, an OOM kill, firewall rules and last week's 502s: all of it elsewhere or long ago
# expect: healthy
# status: 200
LOG=json
setup() {
  proxy_to atlas http://127.0.0.1:8370
  start_nginx
  get / 6
  age_logs 6
  rm /lab/statuses
  serve atlas 127.0.0.1:8370
  listening 127.0.0.1:8370
  daemon backup '/bin/sh -c "echo no space on the tape >&2; exit 4"' || true
  iptables -A INPUT -p tcp --dport 3306 -j DROP
  iptables -A OUTPUT -d 192.0.2.0/24 -j REJECT
  daemon thumbnails '/usr/bin/python3 -c "kept = bytearray(b\"1\" * (300 << 20))"' MemoryMax=40M MemorySwapMax=0
  ip route add blackhole 198.51.100.0/24
}
drive() { sleep 1; get / 30; get /status/404 5; all_answered; }
