#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <heph/http/middleware/rate_limit.hpp>

#include "../address_counts.hpp"

namespace heph::http {

namespace {

using time_point = std::chrono::steady_clock::time_point;
using seconds = std::chrono::duration<double>;

/// What one key has left.
struct bucket {
    double tokens;
    time_point filled;  // When `tokens` was right.
};

/// The buckets of a part of the keys: workers seldom meet at the same one.
class shard {
public:
    /// Takes a token. Gives how long it is to the next one when there is none.
    std::optional<seconds> take(const std::string& key, time_point now, double burst, double rate,
                                std::size_t keys_max) {
        const std::lock_guard lock(guard_);
        auto found = buckets_.find(key);
        if (found == buckets_.end()) {
            if (buckets_.size() >= keys_max) { forget(now, burst, rate, keys_max); }
            found = buckets_.emplace(key, bucket{burst, now}).first;
        }
        bucket& own = found->second;
        own.tokens = left(own, now, burst, rate);
        own.filled = std::max(own.filled, now);
        if (own.tokens < 1) { return seconds((1 - own.tokens) / rate); }
        own.tokens -= 1;
        return std::nullopt;
    }

private:
    static double left(const bucket& of, time_point now, double burst, double rate) {
        const double since = std::max(0.0, seconds(now - of.filled).count());
        return std::min(burst, of.tokens + since * rate);
    }

    // Full ones say nothing. If that is not enough, those that are fullest go, half of them at
    // once, so that it is not done for each new key.
    void forget(time_point now, double burst, double rate, std::size_t keys_max) {
        std::erase_if(buckets_, [&](const auto& each) {
            return left(each.second, now, burst, rate) >= burst;
        });
        if (buckets_.size() < keys_max) { return; }
        std::vector<double> all;
        all.reserve(buckets_.size());
        for (const auto& each : buckets_) { all.push_back(left(each.second, now, burst, rate)); }
        const auto middle = all.begin() + static_cast<std::ptrdiff_t>(all.size() / 2);
        std::ranges::nth_element(all, middle);
        std::size_t to_go = buckets_.size() - all.size() / 2;
        std::erase_if(buckets_, [&, limit = *middle](const auto& each) {
            if (to_go == 0 || left(each.second, now, burst, rate) < limit) { return false; }
            --to_go;
            return true;
        });
    }

    std::mutex guard_;
    std::unordered_map<std::string, bucket> buckets_;
};

std::string peer_network(const request& asked) {
    const auto peer = asked.peer();
    if (!peer) { return {}; }
    const detail::address_counts::key network = detail::address_counts::key_of(*peer);
    std::string key(sizeof(network), '\0');
    std::memcpy(key.data(), &network, sizeof(network));
    return key;
}

class rate_policy {
public:
    explicit rate_policy(rate_limit_options options) : options_(std::move(options)) {
        // Written so that what is no number is refused as well.
        if (!(options_.burst >= 1) || !(options_.per_second > 0)) {
            throw std::invalid_argument(
                "rate_limit: a burst is at least 1, and the rate is more than 0");
        }
        if (!options_.key) { options_.key = peer_network; }
        if (!options_.now) { options_.now = &std::chrono::steady_clock::now; }
    }

    task<response> run(request& asked, next_handler next) {
        const std::string key = options_.key(asked);
        if (!key.empty()) {
            if (const auto wait = take(key)) { co_return refuse(*wait); }
        }
        response answer = co_await next(asked);
        co_return answer;
    }

private:
    std::optional<seconds> take(const std::string& key) {
        shard& own = shards_[std::hash<std::string>()(key) % shards_.size()];
        const std::size_t keys_max = std::max<std::size_t>(options_.keys_max / shards_.size(), 1);
        return own.take(key, options_.now(), options_.burst, options_.per_second, keys_max);
    }

    static response refuse(seconds wait) {
        const double whole = std::min(std::ceil(wait.count()), 86'400.0);
        return response::problem(status::too_many_requests, "There were too many requests.")
            .set_header("Retry-After",
                        std::to_string(std::max<long long>(static_cast<long long>(whole), 1)));
    }

    rate_limit_options options_;
    std::array<shard, 16> shards_;
};

}  // namespace

middleware rate_limit(rate_limit_options options) {
    return [shared = std::make_shared<rate_policy>(std::move(options))](
               request& asked, next_handler next) { return shared->run(asked, next); };
}

}  // namespace heph::http
