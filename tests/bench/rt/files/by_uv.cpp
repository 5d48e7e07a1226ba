#include <fcntl.h>
#include <unistd.h>
#include <uv.h>

#include <cstdlib>
#include <vector>

#include "reading.hpp"

namespace heph::bench {

namespace {

struct reader {
    work* all = nullptr;
    uv_loop_t* loop = nullptr;
    int file = -1;
    uv_fs_t request{};
    std::vector<char> bytes;

    void go_on() {
        const auto offset = all->next();
        if (!offset) { return; }
        const uv_buf_t room = uv_buf_init(bytes.data(), static_cast<unsigned>(bytes.size()));
        if (uv_fs_read(loop, &request, file, &room, 1, static_cast<std::int64_t>(*offset),
                       &was_read) != 0) {
            std::exit(1);
        }
    }
    static void was_read(uv_fs_t* request) {
        auto& one = *static_cast<reader*>(request->data);
        const auto got = request->result;
        uv_fs_req_cleanup(request);
        one.all->done(static_cast<std::uint64_t>(got));
        one.go_on();
    }
};

}  // namespace

void read_with_uv(work& all) {
    uv_loop_t loop;
    if (uv_loop_init(&loop) != 0) { std::exit(1); }
    const int file = ::open(all.what().path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) { std::exit(1); }
    std::vector<reader> readers(all.what().under_way);
    for (reader& each : readers) {
        each.all = &all;
        each.loop = &loop;
        each.file = file;
        each.request.data = &each;
        each.bytes.resize(all.what().bytes);
        each.go_on();
    }
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&loop);
    ::close(file);
}

}  // namespace heph::bench
