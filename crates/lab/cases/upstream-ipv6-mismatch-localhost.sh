# about: localhost is 127.0.0.1 and ::1, Node.js listens on ::1 alone, and nginx may not try a second peer
# expect: upstream-ipv6-mismatch
# forbid: backend-not-running, wrong-upstream-port
# peer: 127.0.0.1:3456
# status: 502
# log: 111: Connection refused.*127.0.0.1:3456
setup() {
  printf '127.0.0.1 localhost\n::1 localhost\n' > /etc/hosts
  node polls '[::1]:3456'
  listening '[::1]:3456'
  echo 'upstream polls { server localhost:3456 max_fails=0; }' | vhost group
  proxy_to polls http://polls 'proxy_next_upstream_tries 1;'
  start_nginx
}
drive() { get / 12; }
