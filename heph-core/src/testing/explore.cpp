#include <cstdlib>
#include <deque>
#include <exception>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include <heph/core/failure.hpp>
#include <heph/core/testing/explore.hpp>

namespace heph::testing {

namespace {

schedule parse_or_throw(std::string_view text) {
    auto parsed = schedule::parse(text);
    if (!parsed) {
        throw std::invalid_argument("\"" + std::string(text) +
                                    "\" names no schedule: in-order, seed:NUMBER or "
                                    "path:NUMBER.NUMBER…");
    }
    return *std::move(parsed);
}

step_options to_step_options(const explore_options& options) {
    step_options made;
    made.early_timers = options.early_timers;
    made.polls_max = options.polls_max;
    return made;
}

}  // namespace

class explorer {
public:
    explorer(const scenario& tested, explore_options options)
        : scenario_(tested), options_(options) {}

    exploration run() {
        // NOLINTNEXTLINE(concurrency-mt-unsafe): tests do not change the environment.
        if (const char* given = std::getenv("HEPH_SCHEDULE"); given != nullptr && *given != '\0') {
            (void)fails(parse_or_throw(given));
            return std::move(result_);
        }
        if (!systematic() && !result_.complete_) {
            for (std::size_t i = 0; i < options_.random; ++i) {
                if (fails(schedule::random(options_.first_seed + i))) { break; }
            }
        }
        if (!result_.passed()) { shorten(); }
        return std::move(result_);
    }

private:
    // Breadth first: a path has one deviation more than the one it comes from, and each path comes
    // from one other only, as behind its last deviation everything is in order. True on a failure.
    bool systematic() {
        std::deque<std::vector<std::size_t>> queue;
        queue.emplace_back();
        bool all_queued = true;
        for (std::size_t i = 0; i < options_.systematic && !queue.empty(); ++i) {
            const std::vector<std::size_t> prefix = std::move(queue.front());
            queue.pop_front();
            if (fails(schedule::path(prefix))) { return true; }
            for (std::size_t at = prefix.size(); at < choices_.size(); ++at) {
                for (std::size_t other = 1; other < choices_[at].among; ++other) {
                    // What there will be no time for need not be kept.
                    if (i + queue.size() + 1 >= options_.systematic) {
                        all_queued = false;
                        break;
                    }
                    std::vector<std::size_t> next;
                    for (std::size_t k = 0; k < at; ++k) { next.push_back(choices_[k].chosen); }
                    next.push_back(other);
                    queue.push_back(std::move(next));
                }
            }
        }
        result_.complete_ = queue.empty() && all_queued && options_.systematic != 0;
        return false;
    }

    // Puts deviations back in order, one by one, as long as it still fails.
    void shorten() {
        std::vector<std::size_t> path = chosen();
        const std::string first = result_.schedule_;
        const std::size_t tried = result_.tried_;
        for (std::size_t runs = 0, at = path.size(); at-- > 0 && runs < shorten_runs_max;) {
            if (path[at] == 0) { continue; }
            ++runs;
            std::vector<std::size_t> shorter = path;
            shorter[at] = 0;
            if (fails(schedule::path(shorter))) {
                path = chosen();
                if (at > path.size()) { at = path.size(); }
            }
        }
        // The last word is the text of the shortest path.
        if (!fails(schedule::path(path))) {
            result_.what_ += "; it does not fail again: the scenario is not deterministic";
        }
        result_.shortest_ = path_taken_;
        result_.schedule_ = first;
        result_.tried_ = tried;
    }

    [[nodiscard]] std::vector<std::size_t> chosen() const {
        std::vector<std::size_t> path;
        for (const schedule::choice& one : choices_) { path.push_back(one.chosen); }
        return path;
    }

    // Runs once. Keeps the choices that were made, and what failed.
    bool fails(schedule order) {
        const std::string name = order.to_string();
        std::exception_ptr thrown;
        std::string where;
        {
            step_executor run(std::move(order), to_step_options(options_));
            try {
                scenario_(run);
            } catch (...) { thrown = std::current_exception(); }
            choices_ = run.order().choices();
            path_taken_ = run.order().path_taken();
            if (thrown) { where = run.describe(); }
        }
        ++result_.tried_;
        if (!thrown) { return false; }
        result_.schedule_ = name;
        result_.what_ = heph::detail::describe_exception(thrown);
        // An expectation of the executor's own says where things stood already.
        if (result_.what_.find(where) == std::string::npos) { result_.what_ += " (" + where + ")"; }
        return true;
    }

    static constexpr std::size_t shorten_runs_max = 200;

    const scenario& scenario_;
    explore_options options_;
    exploration result_;
    std::vector<schedule::choice> choices_;
    std::string path_taken_;
};

std::string exploration::text() const {
    if (passed()) {
        return "passed under " + std::to_string(tried_) + " schedules" +
               (complete_ ? ", which are all there are" : "");
    }
    std::string text = "failed under " + schedule_ + ", the schedule number " +
                       std::to_string(tried_) + ": " + what_;
    if (!shortest_.empty()) { text += "; to see it again: HEPH_SCHEDULE=" + shortest_; }
    return text;
}

exploration explore(const scenario& tested, explore_options options) {
    return explorer(tested, options).run();
}

void replay(std::string_view schedule, const scenario& tested, explore_options options) {
    step_executor run(parse_or_throw(schedule), to_step_options(options));
    tested(run);
}

}  // namespace heph::testing
