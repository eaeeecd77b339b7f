# about: Node.js moved to another port, the group in nginx's files follows it, but nginx was not told
# expect: config-not-reloaded
# forbid: wrong-upstream-port, backend-not-running, config-reload-failed
# peer: 127.0.0.1:3070
# status: 502
# log: 111: Connection refused.*127.0.0.1:3070
# fix: yes
setup() {
  node bakery 127.0.0.1:3070
  listening 127.0.0.1:3070
  echo 'upstream bakery { server 127.0.0.1:3070; }' | vhost group
  proxy_to bakery http://bakery
  start_nginx
  get / 4
  sleep 1.1 # files and processes have whole seconds to differ by
}
fault() {
  systemctl stop bakery
  sed -i 's/3070/3071/' /etc/systemd/system/bakery.service /etc/nginx/conf.d/group.conf
  systemctl daemon-reload
  systemctl start bakery
  listening 127.0.0.1:3071
}
drive() { get / 5; }
check() { served /; }
