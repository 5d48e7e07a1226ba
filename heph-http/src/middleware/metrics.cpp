#include <heph/http/middleware/metrics.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <cstddef>
#include <stdexcept>
#include <string_view>
#include <utility>

#include <heph/core/task.hpp>

namespace heph::http {

namespace detail {

namespace {

using std::chrono::steady_clock;

constexpr std::size_t status_classes = 5;
constexpr std::size_t shard_count = 16;
constexpr std::size_t bounds_max = 64;
// What the server refuses by itself has one of these, or none.
constexpr unsigned refused_status_min = 300;
constexpr unsigned refused_status_max = 599;

/// Counts what some of the threads do. All operations are relaxed: each number stands by itself.
struct alignas(64) metrics_shard {
    std::array<std::atomic<std::uint64_t>, (method_count + 1) * status_classes> answers{};
    std::array<std::atomic<std::uint64_t>, bounds_max + 1> buckets{};
    std::atomic<std::uint64_t> nanoseconds{0};
    std::atomic<std::uint64_t> begun{0};
    std::atomic<std::uint64_t> ended{0};
    std::atomic<std::uint64_t> dropped{0};
    std::atomic<std::uint64_t> body_bytes{0};
    std::atomic<std::uint64_t> incomplete{0};
};

void add(std::atomic<std::uint64_t>& to, std::uint64_t amount = 1) noexcept {
    to.fetch_add(amount, std::memory_order_relaxed);
}

std::size_t shard_of_thread() noexcept {
    static std::atomic<std::size_t> threads{0};
    thread_local const std::size_t mine = threads.fetch_add(1, std::memory_order_relaxed);
    return mine % shard_count;
}

bool is_metric_name(std::string_view name) noexcept {
    const auto good = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == ':';
    };
    return !name.empty() && !(name[0] >= '0' && name[0] <= '9') && std::ranges::all_of(name, good);
}

// Without an exponent and without trailing zeros, as `0.0005`.
std::string seconds(double value) {
    std::array<char, 64> text{};
    const auto written =
        std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
    return std::string(text.data(), written.ptr);
}

}  // namespace

class metrics_state {
public:
    explicit metrics_state(metrics_options options)
        : prefix_(std::move(options.prefix)), shards_(shard_count) {
        if (!is_metric_name(prefix_)) {
            throw std::invalid_argument("metrics: the prefix is no name for metrics");
        }
        if (options.bounds.size() > bounds_max) {
            throw std::invalid_argument("metrics: there are more bounds than are sensible");
        }
        for (const auto bound : options.bounds) {
            if (bound.count() <= 0 || (!bounds_.empty() && bound <= bounds_.back())) {
                throw std::invalid_argument("metrics: the bounds are not positive and rising");
            }
            bounds_.push_back(bound);
        }
    }

    [[nodiscard]] metrics_shard& shard() noexcept { return shards_[shard_of_thread()]; }

    void count(metrics_shard& into, method method, unsigned status,
               steady_clock::duration took) noexcept {
        const std::size_t hundreds = std::clamp(status / 100, 1U, 5U) - 1;
        add(into.answers[static_cast<std::size_t>(method) * status_classes + hundreds]);
        const auto bucket = std::ranges::lower_bound(bounds_, took);
        add(into.buckets[static_cast<std::size_t>(bucket - bounds_.begin())]);
        const auto nanoseconds = std::chrono::duration_cast<std::chrono::nanoseconds>(took);
        add(into.nanoseconds,
            static_cast<std::uint64_t>(std::max<std::int64_t>(nanoseconds.count(), 0)));
    }

    void observe(const exchange& what) noexcept {
        metrics_shard& into = shard();
        add(into.body_bytes, what.body_bytes_sent);
        if (what.status && !what.complete) { add(into.incomplete); }
        if (what.handled) { return; }
        if (!what.status) {
            add(refused_.back());
            return;
        }
        const unsigned status = code(*what.status);
        if (status < refused_status_min || status > refused_status_max) { return; }
        add(refused_[status - refused_status_min]);
    }

    [[nodiscard]] std::uint64_t in_flight() const noexcept {
        // Those that ended first, or one that begins and ends meanwhile would be missing.
        const std::uint64_t ended = sum(&metrics_shard::ended);
        const std::uint64_t begun = sum(&metrics_shard::begun);
        return begun > ended ? begun - ended : 0;
    }

    [[nodiscard]] std::string text() const {
        std::string made;
        describe(made, "requests_total", "counter",
                 "Requests that were answered, by method and class of the status.");
        for (std::size_t method = 0; method <= method_count; ++method) { add_method(made, method); }
        add_histogram(made);
        describe(made, "requests_in_flight", "gauge", "Requests that are being answered.");
        add_value(made, "requests_in_flight", in_flight());
        describe(made, "requests_dropped_total", "counter",
                 "Requests that were given up before there was an answer.");
        add_value(made, "requests_dropped_total", sum(&metrics_shard::dropped));
        if (observes_.load(std::memory_order_relaxed)) { add_observed(made); }
        return made;
    }

    void begin_to_observe() noexcept { observes_.store(true, std::memory_order_relaxed); }

private:
    [[nodiscard]] std::uint64_t sum(std::atomic<std::uint64_t> metrics_shard::* member) const {
        std::uint64_t total = 0;
        for (const metrics_shard& shard : shards_) {
            total += (shard.*member).load(std::memory_order_relaxed);
        }
        return total;
    }
    template <std::size_t Size>
    [[nodiscard]] std::uint64_t sum(
        std::array<std::atomic<std::uint64_t>, Size> metrics_shard::* member,
        std::size_t at) const {
        std::uint64_t total = 0;
        for (const metrics_shard& shard : shards_) {
            total += (shard.*member)[at].load(std::memory_order_relaxed);
        }
        return total;
    }

    void describe(std::string& to, std::string_view name, std::string_view type,
                  std::string_view help) const {
        const std::string full = prefix_ + "_" + std::string(name);
        to += "# HELP " + full + " " + std::string(help) + "\n";
        to += "# TYPE " + full + " " + std::string(type) + "\n";
    }
    void add_value(std::string& to, std::string_view name, std::uint64_t value) const {
        to += prefix_ + "_" + std::string(name) + " " + std::to_string(value) + "\n";
    }

    // All classes of a method that was asked for, so that a rate sees the first of each.
    void add_method(std::string& to, std::size_t which) const {
        std::array<std::uint64_t, status_classes> counts{};
        std::uint64_t all = 0;
        for (std::size_t i = 0; i < status_classes; ++i) {
            counts[i] = sum(&metrics_shard::answers, which * status_classes + i);
            all += counts[i];
        }
        if (all == 0) { return; }
        const std::string name(to_string(static_cast<method>(which)));
        for (std::size_t i = 0; i < status_classes; ++i) {
            add_value(to,
                      "requests_total{method=\"" + name + "\",status=\"" + std::to_string(i + 1) +
                          "xx\"}",
                      counts[i]);
        }
    }

    void add_observed(std::string& to) const {
        describe(to, "refused_total", "counter",
                 "What the server refused by itself, before any handler, by status.");
        for (std::size_t i = 0; i < refused_.size(); ++i) {
            const std::uint64_t count = refused_[i].load(std::memory_order_relaxed);
            if (count == 0) { continue; }
            const bool none = i + 1 == refused_.size();
            const std::string status = none ? "none" : std::to_string(i + refused_status_min);
            add_value(to, "refused_total{status=\"" + status + "\"}", count);
        }
        describe(to, "response_body_bytes_total", "counter",
                 "Bytes of answers behind their heads that were sent.");
        add_value(to, "response_body_bytes_total", sum(&metrics_shard::body_bytes));
        describe(to, "responses_incomplete_total", "counter",
                 "Answers that were begun and not sent entirely.");
        add_value(to, "responses_incomplete_total", sum(&metrics_shard::incomplete));
    }

    void add_histogram(std::string& to) const {
        const std::string name = "request_duration_seconds";
        describe(to, name, "histogram", "How long answers took to be ready.");
        std::uint64_t so_far = 0;
        for (std::size_t i = 0; i < bounds_.size(); ++i) {
            so_far += sum(&metrics_shard::buckets, i);
            const std::string bound = seconds(std::chrono::duration<double>(bounds_[i]).count());
            add_value(to, name + "_bucket{le=\"" + bound + "\"}", so_far);
        }
        so_far += sum(&metrics_shard::buckets, bounds_.size());
        add_value(to, name + "_bucket{le=\"+Inf\"}", so_far);
        const double total = static_cast<double>(sum(&metrics_shard::nanoseconds)) / 1e9;
        to += prefix_ + "_" + name + "_sum " + seconds(total) + "\n";
        add_value(to, name + "_count", so_far);
    }

    std::string prefix_;
    std::vector<std::chrono::steady_clock::duration> bounds_;
    std::vector<metrics_shard> shards_;
    // By status, and behind them those without an answer.
    std::array<std::atomic<std::uint64_t>, refused_status_max - refused_status_min + 2> refused_{};
    std::atomic<bool> observes_{false};
};

namespace {

/// One request under way: it counts as dropped unless it was counted before.
class under_way {
public:
    under_way(metrics_state& state, method method) noexcept
        : state_(&state), shard_(&state.shard()), method_(method) {
        add(shard_->begun);
    }
    under_way(const under_way&) = delete;
    under_way& operator=(const under_way&) = delete;
    ~under_way() {
        if (!counted_) { add(shard_->dropped); }
        add(shard_->ended);
    }

    void count(unsigned status) noexcept {
        counted_ = true;
        state_->count(*shard_, method_, status, steady_clock::now() - began_);
    }

private:
    metrics_state* state_;
    metrics_shard* shard_;
    steady_clock::time_point began_ = steady_clock::now();
    method method_;
    bool counted_ = false;
};

task<response> count_one(std::shared_ptr<metrics_state> state, request& asked, next_handler next) {
    under_way current(*state, asked.method());
    try {
        response answer = co_await next(asked);
        current.count(code(answer.status()));
        co_return answer;
    } catch (...) {
        current.count(500);
        throw;
    }
}

}  // namespace

}  // namespace detail

metrics::metrics(metrics_options options)
    : state_(std::make_shared<detail::metrics_state>(std::move(options))) {}

middleware metrics::around() const {
    return [state = state_](request& asked, next_handler next) {
        return detail::count_one(state, asked, next);
    };
}

exchange_observer metrics::observer() const {
    state_->begin_to_observe();
    return [state = state_](const exchange& what) { state->observe(what); };
}

handler metrics::endpoint() const {
    return [state = state_](request&) {
        return response::bytes(state->text(), "text/plain; version=0.0.4; charset=utf-8");
    };
}

std::string metrics::text() const { return state_->text(); }

std::uint64_t metrics::in_flight() const noexcept { return state_->in_flight(); }

}  // namespace heph::http
