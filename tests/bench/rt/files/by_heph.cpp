#include <cstdlib>
#include <memory>
#include <utility>

#include <heph/core/task.hpp>
#include <heph/rt/fs/file.hpp>
#include <heph/rt/runtime.hpp>

#include "reading.hpp"

namespace heph::bench {

namespace {

task<> reads(std::shared_ptr<const rt::fs::file> file, work* all) {
    auto bytes = rt::buffer::with_capacity(all->what().bytes);
    while (const auto offset = all->next()) {
        auto got = co_await file->read_at(std::move(bytes), *offset);
        if (!got) { std::exit(1); }
        bytes = std::move(*got);
        all->done(bytes.size());
        bytes.clear();
    }
}

task<> starts(rt::worker here, work* all) {
    auto opened = co_await rt::fs::file::open(all->what().path);
    if (!opened) { std::exit(1); }
    const auto file = std::make_shared<const rt::fs::file>(std::move(*opened));
    for (std::size_t i = 0; i < all->what().under_way; ++i) { here.spawn_future(reads(file, all)); }
}

}  // namespace

void read_with_heph(work& all) {
    auto runtime = rt::setup{}.ignore_signals().build();
    if (!runtime) { std::exit(rt::report(runtime.error())); }
    runtime->run_on_workers([&all](rt::worker& here) { here.spawn_future(starts(here, &all)); });
    const auto ended = runtime->start();
    if (!ended) { std::exit(rt::report(ended)); }
}

}  // namespace heph::bench
