// Pages work without this script; with it they stay live and forms answer in place.
import { watchForms } from "./forms.js";
import { watchPickers } from "./picker.js";
import { watchBoard } from "./board.js";
import { watchParts } from "./parts.js";
import { watchPens } from "./inplace.js";
import { watchRows } from "./rows.js";
import { watchDrafts } from "./drafts.js";
import { watchFilters } from "./filters.js";
import { watchSelection } from "./select.js";
import { live } from "./live.js";

watchParts();
watchPens(); // before the other forms, which leave alone what is sent already
watchForms();
watchPickers();
watchBoard();
watchFilters();
watchRows();
watchDrafts();
watchSelection();
live();
