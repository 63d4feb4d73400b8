"""The report page: one HTML file, for offline use, of runs, laboratory folders and audits.

`inputs` tells what was given apart, `data_of_runs` finds the questions, events and audio that the
results name, `item_browser` gathers what is known of each item, `clip_sound` and `clip_pictures`
make what one hears and sees, `baselines` what a score is read against, `laboratory` what the
laboratory left behind, `diagnoses` what the doctor found, and `page` puts everything into the
template. The item browser itself is the hand-written script `browser.js`.
"""
