# about: the application itself answers 503; nginx logs to the journal by syslog, and its error log stays empty
# expect: upstream-returned-error
# forbid: nginx-returned-error, backend-hung
# peer: 127.0.0.1:8360
# status: 503
LOG=timing
setup() {
  gunicorn gym 127.0.0.1:8360 '--workers 2'
  listening 127.0.0.1:8360
  ERROR_LOG=syslog:server=unix:/dev/log,nohostname nginx_conf
  touch /lab/nginx.conf
  proxy_to gym http://127.0.0.1:8360
  start_nginx
  get / 5
}
drive() { get /status/503 6; get / 3; }
