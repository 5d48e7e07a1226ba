#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "etcd/client_core.hpp"
#include "etcd/line_splitter.hpp"
#include "etcd/watch_state.hpp"

namespace heph::remote::etcd::detail {

/// Drives a watch: lists, opens, reads and begins again, as `watch_state` says.
class watch_run {
public:
    watch_run(std::shared_ptr<client_core> core, gateway::key_range keys)
        : core_(std::move(core)), keys_(std::move(keys)), times_back_(core_->times_back()) {}

    task<answer<watch_batch>> next();

private:
    using done = answer<void>;
    using maybe_batch = answer<std::optional<watch_batch>>;

    task<answer<watch_batch>> list();
    task<done> open();
    task<done> check();
    /// Reads one piece, if no line is left. Gives a batch as soon as there is one to tell.
    task<maybe_batch> read();
    maybe_batch take(std::string_view line);
    /// Says what a watch means that was canceled for a reason in words.
    rt::error refused(std::string_view reason);
    /// Closes the connection, after which another endpoint may be better.
    void leave() noexcept;
    task<> pause();

    std::shared_ptr<client_core> core_;
    gateway::key_range keys_;
    std::uint64_t times_back_;  // As of the last list.
    watch_state state_;
    std::optional<http::client_response> connection_;
    std::optional<line_splitter> lines_;
    std::size_t endpoint_ = 0;
    std::chrono::milliseconds pause_{0};
    std::uint64_t resumed_ = 0;  // How often answers had come again, when the connection was made.
    bool is_token_new_ = false;  // As this watch was refused by the one before.
};

/// Gives all keys of a range as they are at one revision, page by page.
task<answer<range_result>> list_range(std::shared_ptr<client_core> core, gateway::key_range keys,
                                      std::size_t keys_max);

}  // namespace heph::remote::etcd::detail
