# about: a quick application with a unix socket's queue of two: crowds get EAGAIN
# expect: listen-queue-overflow
# forbid: backend-hung, backend-not-running, php-fpm-pool-exhausted
# peer: unix:/run/dice.sock
# status: 502
# log: 11: Resource temporarily unavailable\) while connecting to upstream
setup() {
  serve dice /run/dice.sock '--serial --backlog 2 --every 0.02' 'ExecStartPost=/bin/sh -c "sleep 0.3; chmod 666 /run/dice.sock"'
  listening /run/dice.sock
  proxy_to dice http://unix:/run/dice.sock:
  start_nginx
  get / 5
}
drive() { together / 40; get / 5; together / 40; get / 5; }
