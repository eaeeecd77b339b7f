# about: the backend is another nginx on the neighbouring machine, and the 502 is that one's own
# expect: upstream-returned-error
# forbid: backend-not-running, nginx-returned-error
# peer: 10.60.0.2:8362
# status: 502
LOG=timing
setup() {
  neighbour
  IN_NETNS=/run/netns/next other_nginx inner <<'CONF'
server {
    listen 10.60.0.2:8362;
    location / { proxy_pass http://127.0.0.1:8363; }
    location = /alive { return 200 "yes\n"; }
}
CONF
  listening 10.60.0.2:8362
  proxy_to outer http://10.60.0.2:8362
  start_nginx
  get /alive 4
}
drive() { get / 6; get /alive 3; }
