import numpy as np

from mlops.anomaly.episodes import Episode, EpisodeTracker, episodes, since_by_signal, strongest


def test_an_episode_starts_where_the_rise_began_and_ends_after_a_calm():
    scores = np.array([0.1, 0.8, 0.9, 1.2, 0.6, 1.5, 0.8, *[0.1] * 10, 0.2])

    assert episodes(scores) == [Episode(since=1, crossed=3, until=7, peak=1.5)]


def test_a_score_that_dances_around_the_limit_is_one_episode():
    assert len(episodes(np.tile([1.1, 0.6], 20))) == 1


def test_an_episode_that_goes_on_has_no_end():
    (episode,) = episodes(np.array([0.2, 1.3, 1.1]))

    assert episode.until is None


def test_what_never_crosses_the_limit_is_no_episode():
    assert episodes(np.full(30, 0.95)) == []


def test_a_tracker_knows_since_when():
    tracker = EpisodeTracker()
    for score in (0.1, 0.9, 1.4):
        tracker.push(score)

    assert tracker.current is not None
    assert tracker.current.since == 1


def test_each_signal_has_its_own_since():
    contributions = np.array([[0.1, 0.0], [1.2, 0.1], [1.3, 1.1], [1.4, 1.2]])
    (episode,) = episodes(contributions.max(axis=1))

    assert since_by_signal(contributions, episode) == [1, 2]
    assert strongest(contributions, episode) == [0, 1]
