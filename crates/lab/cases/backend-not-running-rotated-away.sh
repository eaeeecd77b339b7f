# about: the outage stands in logs that were rotated and compressed a moment ago; nginx's clock is not the host's
# expect: backend-not-running
# peer: 127.0.0.1:8449
# status: 502
setup() {
  serve lists 127.0.0.1:8449
  listening 127.0.0.1:8449
  mkdir -p /etc/systemd/system/nginx.service.d
  printf '[Service]\nEnvironment=TZ=Asia/Tokyo\n' > /etc/systemd/system/nginx.service.d/zone.conf
  systemctl daemon-reload
  proxy_to lists http://127.0.0.1:8449
  static_site manual
  start_nginx
  get / 3
}
fault() { systemctl stop lists; }
drive() {
  get / 5
  for log in access error; do mv /var/log/nginx/$log.log /var/log/nginx/$log.log.1; done
  systemctl kill --kill-whom=main --signal=USR1 nginx
  sleep 0.3
  gzip /var/log/nginx/*.log.1
  get / 2 -H 'Host: manual.example.org'
}
