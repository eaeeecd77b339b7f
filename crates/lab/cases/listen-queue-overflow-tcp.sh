# about: the kernel drops the SYNs of a crowd since the application asked for a queue of one; IPv6
# expect: listen-queue-overflow
# forbid: upstream-blackholed, firewall-drop, backend-hung
# peer: [::1]:8290
# status: 504
# log: 110: Connection timed out\) while connecting to upstream
setup() {
  serve lottery '[::1]:8290' '--serial --backlog 1 --every 0.02'
  listening '[::1]:8290'
  proxy_to lottery 'http://[::1]:8290' 'proxy_connect_timeout 800ms;'
  start_nginx
  get / 5
}
drive() { together / 40; together / 40; get / 5; }
