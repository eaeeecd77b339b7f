# about: fastcgi_pass points to gunicorn, which waits for the end of a line that FastCGI never sends
# expect: protocol-mismatch
# forbid: backend-hung, backend-slow, worker-pool-exhausted
# peer: unix:/run/quiz/quiz.sock
# status: 504
# log: 110: Connection timed out\) while reading response header.*fastcgi:
setup() {
  gunicorn quiz unix:/run/quiz/quiz.sock '--workers 2' RuntimeDirectory=quiz
  listening /run/quiz/quiz.sock
  vhost quiz <<'CONF'
server {
    listen 80;
    server_name quiz.example.org;
    location / {
        include fastcgi_params;
        fastcgi_pass unix:/run/quiz/quiz.sock;
        fastcgi_read_timeout 1s;
    }
}
CONF
  start_nginx
}
drive() { get / 3; }
