# about: an endpoint sends a header whose name has a space in it; uWSGI passes it on as it is
# expect: invalid-response
# forbid: protocol-mismatch, backend-aborts-request
# peer: 127.0.0.1:9320
# status: 502
# log: upstream sent invalid header: "X 
setup() {
  uwsgi weather '--socket 127.0.0.1:9320' '--processes 2'
  listening 127.0.0.1:9320
  vhost weather <<'CONF'
server {
    listen 80;
    server_name weather.example.org;
    location / { include uwsgi_params; uwsgi_pass 127.0.0.1:9320; }
}
CONF
  start_nginx
  get / 5
}
drive() { get /misnamed 4; get / 4; }
